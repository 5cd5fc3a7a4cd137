"""Gradient-boosted trees by CatBoost: categories go in as they are, and are encoded by the labels of rows before.

Prokhorenkova et al., 2018. Hyperparameters bear the names of CatBoost's own parameter page. Their spaces are those of
TabArena (Erickson et al., 2025), made wider where they do not hold CatBoost's own default.
"""

import json
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator

from ray_pipeline.components.models._base import Model, Scorer, Scores, TrainingContext, TrainingState, scoring_threads
from ray_pipeline.components.models._catboost import (
    Beats,
    Columns,
    Margins,
    RoundByRound,
    first_rounds,
    import_catboost,
)
from ray_pipeline.components.models._catboost_file import read_model
from ray_pipeline.components.models._catboost_losses import LOSSES_OF_NUMBERS, known_loss
from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Integer, Log, Named, Number, Within, Word
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix, Task, Vector

if TYPE_CHECKING:
    import catboost

LOSSES = {"binary": "Logloss", "multiclass": "MultiClass"}
QUANTILES = "MultiQuantile"
PREDICTIONS = {"Logloss": "Probability", "MultiClass": "Probability", "Tweedie": "Exponent", "Poisson": "Exponent"}
"""What CatBoost's `predict` is asked for, by the loss; for other losses the raw score."""
OF_CATEGORIES = ("one_hot_max_size", "model_size_reg", "max_ctr_complexity")
MONOTONE = {"grow_policy": "SymmetricTree", "max_ctr_complexity": 1}
"""Under monotone constraints: CatBoost 1.2 refuses other trees, and a combination of a category with a number is not
monotone."""
BEAT_EVERY_ROUNDS = 10
NOT_FOR_FIT = ("iterations", "early_stopping_rounds")


class CatBoost(Model):
    """CatBoost's hyperparameters; their default spaces hold good models for tables of 1,000 to 10,000,000 rows."""

    encoder: ClassVar[str] = "trees"
    start: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.08,
        "depth": 6,
        "grow_policy": "SymmetricTree",
        "subsample": 0.8,
        "rsm": 1.0,
        "l2_leaf_reg": 3.0,
        "leaf_estimation_iterations": 5,
        "one_hot_max_size": 2,
        "model_size_reg": 0.5,
        "max_ctr_complexity": 2,
        "loss_function": "RMSE",
    }
    only_for: ClassVar[Mapping[str, Task]] = {"loss_function": "regression"}
    library: ClassVar[str] = "catboost"
    extra: ClassVar[str | None] = "catboost"
    file: ClassVar[str] = "model.cbm"
    repeats_rounds: ClassVar[bool] = True
    budget: ClassVar[str] = "iterations"
    patience: ClassVar[str] = "early_stopping_rounds"
    objective_name: ClassVar[str] = "loss_function"
    memory_factor: ClassVar[float] = 2.7
    row_cost: ClassVar[int] = 1
    takes_monotone: ClassVar[bool] = True
    takes_quantiles: ClassVar[bool] = True

    learning_rate: Annotated[Number, Within(0, 1, above=True)] = Log(low=0.005, high=0.1)
    depth: Annotated[Integer, Within(1, 16)] = Int(low=4, high=8)
    grow_policy: Annotated[Word, Named(("SymmetricTree", "Depthwise"))] = OneOf(values=("SymmetricTree", "Depthwise"))
    bootstrap_type: Annotated[Word, Named(("Bernoulli", "MVS"))] = "Bernoulli"
    subsample: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.7, high=1.0)
    rsm: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.85, high=1.0)
    l2_leaf_reg: Annotated[Number, Within(0)] = Log(low=1e-4, high=5.0)
    random_strength: Annotated[Number, Within(0)] = 1.0
    leaf_estimation_iterations: Annotated[Integer, Within(1)] = Log(low=1, high=20)
    one_hot_max_size: Annotated[Integer, Within(2, 255)] = Log(low=2, high=100)
    model_size_reg: Annotated[Number, Within(0)] = Log(low=0.1, high=1.5)
    max_ctr_complexity: Annotated[Integer, Within(1, 15)] = Int(low=2, high=5)
    border_count: Annotated[Integer, Within(1, 65_535)] = 254
    loss_function: Annotated[Word, AfterValidator(known_loss)] | None = None
    """Of a regression. None: squared error, or where no label is negative a choice of it and Tweedie's deviance (a log
    link)."""
    iterations: Annotated[Integer, Within(1, 100_000)] = 4000
    early_stopping_rounds: Annotated[Integer, Within(1)] = 100

    def space(self, context: TrainingContext) -> dict[str, Any]:
        """Return the values and spaces; the data decides `loss_function`, and whether categories are searched for."""
        given = super().space(context)
        if not any(context.codes_of(self.encoder)):
            given |= {name: self.start[name] for name in OF_CATEGORIES if self.is_default(name)}
        if context.monotone.get(self.encoder):
            given |= {name: value for name, value in MONOTONE.items() if self.is_default(name)}
        if given["loss_function"] is None:
            of_regression = OneOf(values=LOSSES_OF_NUMBERS[:2]) if context.min_label >= 0 else LOSSES_OF_NUMBERS[0]
            given["loss_function"] = LOSSES.get(context.task, of_regression)
            if context.quantiles:
                given["loss_function"] = f"{QUANTILES}:alpha={','.join(map(repr, context.quantiles))}"
        return given

    @classmethod
    def warm_up(cls) -> None:
        """Import CatBoost."""
        import_catboost()

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """Return None: each fit makes its own bins."""
        return None

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> "_Data":
        """Return the pools of train and, where it has rows, of validation."""
        columns = Columns(context.codes_of(cls.encoder))
        label = np.concatenate([block.label for block in train])
        if context.task != "regression":
            label = label.astype(np.int64)
        # CatBoost needs labels of validation, and nothing depends on them: one that train has is sure to be allowed.
        pools = [
            import_catboost().Pool(
                columns.arranged(np.concatenate([block.matrix for block in blocks])),
                label=found,
                weight=np.concatenate([context.row_weight(block) for block in blocks]),
            )
            for blocks, found in (
                (train, label),
                (validation, label[:1].repeat(sum(len(one.label) for one in validation))),
            )
            if blocks
        ]
        return _Data(pools=pools, columns=columns, classes=np.unique(label) if context.num_classes else None)

    @classmethod
    def start_training(
        cls, params: dict[str, Any], context: TrainingContext, data: "_Data", seed: int, state: bytes | None = None
    ) -> TrainingState:
        """Return a training before its first round, or one that has repeated the rounds of `state`."""
        own = {name: value for name, value in params.items() if name not in NOT_FOR_FIT}
        if context.num_classes:
            own["class_names"] = list(range(context.num_classes))
        if monotone := context.monotone.get(cls.encoder):
            if broken := [name for name, value in MONOTONE.items() if own[name] != value]:
                raise ValueError(f"monotone constraints need {broken[0]}: {MONOTONE[broken[0]]}")
            own["monotone_constraints"] = [monotone[at] for at in data.columns.order]
        boosting = _Boosting({**own, "random_seed": seed}, params["iterations"], context, data)
        boosting.advance(int(state or 0))
        return boosting

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Return the scorer of the model in the folder; scores are float64."""
        predict, loss = _predictor(folder / cls.file)
        if loss == QUANTILES:
            return lambda matrix: _middle(predict(matrix))
        return predict if loss != LOSSES["binary"] else lambda matrix: predict(matrix)[:, 1]

    @classmethod
    def quantiles(cls, folder: Path) -> Scorer:
        """Return what predicts the quantiles, of shape (n, quantiles)."""
        return _predictor(folder / cls.file)[0]

    @classmethod
    def contributions(cls, folder: Path, matrix: Matrix) -> Matrix | None:
        """Return TreeSHAP values (Lundberg et al., 2020).

        They are in log odds, in the label's unit, or in its logarithm where the loss has a log link.
        """
        model, columns, loss = _loaded(folder / cls.file)
        if model.get_tree_leaf_counts().max() == 1:  # CatBoost 1.2 crashes on depthwise trees without any split
            return np.zeros_like(matrix)
        pool = import_catboost().Pool(columns.arranged(matrix))
        values = model.get_feature_importance(pool, type="ShapValues")[..., :-1]
        if values.ndim > 2:
            values = _middle(values) if loss == QUANTILES else np.abs(values).sum(1)
        return np.asarray(values[:, np.argsort(columns.order)])


@dataclass(frozen=True)
class _Data:
    """The pools of train and, where it has rows, of validation."""

    pools: "list[catboost.Pool]"
    columns: Columns
    classes: Vector | None
    """The classes that the training rows have; None for a regression."""


class _Boosting(TrainingState):
    """A training that waits between two rungs, or without validation rows is one call at the end."""

    def __init__(self, params: dict[str, Any], limit: int, context: TrainingContext, data: _Data) -> None:
        fixed = {
            "thread_count": context.threads,
            "allow_writing_files": False,
            "allow_const_label": True,
            "logging_level": "Silent",
        }
        self.params, self.fixed, self.limit, self.data = params, fixed, limit, data
        self.context = context
        self._begin()

    def advance(self, rounds: int) -> None:
        if len(self.data.pools) > 1 and rounds > self.rounds:
            if self.training.ended:  # by `model`
                self._begin()
            self.margins = self.training.advance(rounds)
        self.rounds = rounds

    def scores(self) -> Scores:
        return _scores(self.margins, self.params["loss_function"], self.data.classes, self.context.num_classes)

    def model(self, rounds: int) -> bytes:
        if len(self.data.pools) > 1:
            model = self.training.finish()
        else:
            said = {"logging_level": "Verbose", "metric_period": BEAT_EVERY_ROUNDS}
            model = import_catboost().CatBoost({**self.params, **self.fixed, **said, "iterations": rounds})
            model.fit(self.data.pools[0], log_cout=Beats())
        return _content(model, rounds, self.params, self.data)

    def state(self) -> bytes:
        return str(self.rounds).encode()

    def _begin(self) -> None:
        # CatBoost ends a training one round after its metric has risen.
        to_end = {"od_type": "Iter", "od_wait": 1, "use_best_model": False, "iterations": self.limit}
        params, (train, *validation) = {**self.params, **self.fixed, **to_end}, self.data.pools

        def fit(training: RoundByRound) -> Any:
            return import_catboost().CatBoost({**params, "eval_metric": training}).fit(train, eval_set=validation)

        self.training = RoundByRound(fit)
        weakref.finalize(self, self.training.end)


def _scores(margins: Margins, loss: str, classes: Vector | None, num_classes: int) -> Scores:
    """Scores from raw scores (outputs, n); a class that the training rows lack has no output."""
    from scipy.special import expit, softmax

    if loss == "MultiClass":
        assert classes is not None
        scores = np.zeros((margins.shape[1], num_classes))
        scores[:, classes] = softmax(margins, axis=0).T
        return scores
    if loss.startswith(QUANTILES):
        return np.asarray(margins[len(margins) // 2])
    kind = PREDICTIONS.get(loss.partition(":")[0])
    return np.asarray({"Probability": expit, "Exponent": np.exp, None: np.array}[kind](margins[0]))


def _content(model: "catboost.CatBoost", rounds: int, params: dict[str, Any], data: _Data) -> bytes:
    """The content of the file of the first rounds of a model, without clock, guid and number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model")
        model.save_model(file, format="json", pool=data.pools[0])
        file.write_text(json.dumps(first_rounds(json.loads(file.read_bytes()), rounds)))
        model = import_catboost().CatBoost().load_model(file, format="json")
        loss, _, _ = params["loss_function"].partition(":")
        about = {"flat_params": params, "loss_function": {"type": loss}, "random_seed": params["random_seed"]}
        metadata = model.get_metadata()
        for name in set(metadata.keys()) - {"class_params"}:
            del metadata[name]
        metadata["params"] = json.dumps(about)
        metadata["cardinalities"] = json.dumps(data.columns.cardinalities)
        model.save_model(file, format="cbm")
        return file.read_bytes()


def _loaded(file: Path) -> "tuple[catboost.CatBoost, Columns, str]":
    """The model of a file, its columns, and the loss that it minimizes."""
    model = read_model(file)
    metadata = model.get_metadata()
    loss = json.loads(metadata["params"])["loss_function"]["type"]
    columns = Columns(tuple(map(int, json.loads(metadata["cardinalities"]))))
    columns.require_of(model)
    return model, columns, loss


def _predictor(file: Path) -> tuple[Scorer, str]:
    """What predicts all outputs of a model, and the loss that it minimizes."""
    model, columns, loss = _loaded(file)
    kind = PREDICTIONS.get(loss, "RawFormulaVal")

    def predict(matrix: Matrix) -> Scores:
        threads = scoring_threads(matrix, -1)
        return np.asarray(model.predict(columns.arranged(matrix), prediction_type=kind, thread_count=threads))

    return predict, loss


def _middle(outputs: Any) -> Any:
    """The quantile in the middle, which is the score."""
    return outputs[:, outputs.shape[1] // 2]
