"""Gradient-boosted trees by LightGBM, which grow leaf by leaf: codes and NaN go in as they are.

Ke et al., 2017. Hyperparameters bear the names of LightGBM's own parameter page. Their spaces are those of TabArena
(Erickson et al., 2025), made wider where they do not hold LightGBM's own default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ray_pipeline.components.models._base import Model, Scorer, Scores, TrainingContext, TrainingState, scoring_threads
from ray_pipeline.components.models._label_unit import factor_of
from ray_pipeline.components.models._lightgbm import import_lightgbm
from ray_pipeline.components.models._lightgbm_file import read_booster
from ray_pipeline.components.models._lightgbm_units import in_unit_of_label
from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Boolean, Float, Integer, Log, Named, Number, Within, Word
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.heartbeat import beat
from ray_pipeline.values import Matrix, Task, Vector

if TYPE_CHECKING:
    import lightgbm

SQUARED_ERROR = "regression"
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass"}
OBJECTIVES_OF_NUMBERS = (
    "regression",
    "tweedie",
    "poisson",
    "gamma",
    "regression_l1",
    "huber",
    "fair",
    "quantile",
    "mape",
)
OF_OBJECTIVE = {"alpha": ("quantile", "huber"), "tweedie_variance_power": ("tweedie",), "fair_c": ("fair",)}
OF_CATEGORIES = ("min_data_per_group", "cat_l2", "cat_smooth", "max_cat_to_onehot")
NOT_FOR_BOOSTER = ("num_iterations", "early_stopping_round")


class LightGBM(Model):
    """LightGBM's hyperparameters; their default spaces hold good models for tables of 1,000 to 10,000,000 rows."""

    encoder: ClassVar[str] = "trees"
    start: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.05,
        "num_leaves": 31,
        "feature_fraction": 0.8,
        "bagging_fraction": 0.9,
        "min_data_in_leaf": 20,
        "extra_trees": False,
        "min_data_per_group": 100,
        "cat_l2": 10.0,
        "cat_smooth": 10.0,
        "max_cat_to_onehot": 4,
        "lambda_l1": 1e-4,
        "lambda_l2": 1e-4,
        "objective": "regression",
    }
    only_for: ClassVar[Mapping[str, Task]] = dict.fromkeys(("objective", *OF_OBJECTIVE), "regression")
    of_objective: ClassVar[Mapping[str, tuple[str, ...]]] = OF_OBJECTIVE
    library: ClassVar[str] = "lightgbm"
    extra: ClassVar[str | None] = "lightgbm"
    file: ClassVar[str] = "model.txt"
    repeats_rounds: ClassVar[bool] = True
    budget: ClassVar[str] = "num_iterations"
    patience: ClassVar[str] = "early_stopping_round"
    memory_factor: ClassVar[float] = 2.2
    takes_monotone: ClassVar[bool] = True
    row_cost: ClassVar[int] = 1
    takes_interactions: ClassVar[bool] = True

    learning_rate: Annotated[Number, Within(0, 1, above=True)] = Log(low=0.005, high=0.1)
    num_leaves: Annotated[Integer, Within(2, 131_072)] = Log(low=2, high=200)
    max_depth: Annotated[Integer, Within(-1)] = -1
    feature_fraction: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.4, high=1.0)
    feature_fraction_bynode: Annotated[Number, Within(0, 1, above=True)] = 1.0
    bagging_fraction: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.7, high=1.0)
    bagging_freq: Annotated[Integer, Within(0)] = 1
    min_data_in_leaf: Annotated[Integer, Within(0)] = Log(low=1, high=64)
    min_sum_hessian_in_leaf: Annotated[Number, Within(0)] = 1e-3
    min_gain_to_split: Annotated[Number, Within(0)] = 0.0
    extra_trees: Boolean = OneOf(values=(False, True))
    min_data_per_group: Annotated[Integer, Within(1)] = Log(low=2, high=100)
    cat_l2: Annotated[Number, Within(0)] = Log(low=0.005, high=10.0)
    cat_smooth: Annotated[Number, Within(0)] = Log(low=0.001, high=100.0)
    max_cat_to_onehot: Annotated[Integer, Within(1)] = Log(low=4, high=100)
    lambda_l1: Annotated[Number, Within(0)] = Float(low=1e-4, high=1.0)
    lambda_l2: Annotated[Number, Within(0)] = Float(low=1e-4, high=2.0)
    path_smooth: Annotated[Number, Within(0)] = 0.0
    max_bin: Annotated[Integer, Within(2, 65_536)] = 255
    objective: Annotated[Word, Named(OBJECTIVES_OF_NUMBERS)] | None = None
    """Of a regression. None: squared error, or where no label is negative a choice of it and Tweedie's deviance (a log
    link)."""
    alpha: Annotated[Number, Within(0, above=True)] | None = None
    """The quantile that `quantile` predicts, or where `huber` becomes linear. None: 0.9."""
    tweedie_variance_power: Annotated[Number, Within(1, 2)] | None = None
    """Of `tweedie`. None: 1.5."""
    fair_c: Annotated[Number, Within(0, above=True)] | None = None
    """Of `fair`. None: 1."""
    num_iterations: Annotated[Integer, Within(1, 100_000)] = 4000
    early_stopping_round: Annotated[Integer, Within(1)] = 100

    def space(self, context: TrainingContext) -> dict[str, Any]:
        """Return the values and spaces; the data decides `objective`, and whether categories are searched for."""
        given = super().space(context)
        if not any(context.codes_of(self.encoder)):
            given |= {name: self.start[name] for name in OF_CATEGORIES if self.is_default(name)}
        if given["objective"] is None:
            of_regression = (
                OneOf(values=OBJECTIVES_OF_NUMBERS[:2]) if context.min_label >= 0 else OBJECTIVES_OF_NUMBERS[0]
            )
            given["objective"] = OBJECTIVES.get(context.task, of_regression)
        return {name: value for name, value in given.items() if name not in OF_OBJECTIVE or value is not None}

    @classmethod
    def warm_up(cls) -> None:
        """Import LightGBM."""
        import_lightgbm()

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """Return the number of bins."""
        return params["max_bin"]

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> "_Data":
        """Return the binned rows of train and, with the same bins, of validation where it has rows."""
        # Without the filter, rows that are binned once serve every `min_data_in_leaf`.
        shape = {"max_bin": params["max_bin"], "feature_pre_filter": False, **_fixed(context)}
        binned = _dataset(train, context, shape, None)
        judged = _dataset(validation, context, shape, binned) if validation else None
        factor = factor_of(train, cls.sum_over_workers) if context.task == "regression" else 1.0
        return _Data(train=binned, validation=judged, factor=factor)

    @classmethod
    def start_training(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        data: "_Data",
        seed: int,
        state: bytes | None = None,
    ) -> TrainingState:
        """Return an empty booster, or one that has repeated the rounds of `state`.

        LightGBM's file lacks the generators that draw rows and columns, so a booster cannot go on from it.
        """
        own = {name: value for name, value in params.items() if name not in NOT_FOR_BOOSTER}
        more: dict[str, Any] = {"seed": seed, "metric": "None", "feature_pre_filter": False}
        if context.task == "multiclass":
            more["num_class"] = context.num_classes
        if monotone := context.monotone.get(cls.encoder):
            more["monotone_constraints"] = list(monotone)
        if interactions := context.interactions.get(cls.encoder):
            more["interaction_constraints"] = [list(group) for group in interactions]
        boosting = _Boosting({**own, **more, **_fixed(context)}, data, data.set_unit(params["objective"]))
        boosting.advance(int(state or 0))
        return boosting

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Return the scorer of the booster in the folder; scores are float64."""
        booster = read_booster(folder / cls.file)

        def score(matrix: Matrix) -> Scores:
            return np.asarray(booster.predict(matrix, num_threads=scoring_threads(matrix, 0)))

        return score

    @classmethod
    def contributions(cls, folder: Path, matrix: Matrix) -> Matrix | None:
        """Return TreeSHAP values (Lundberg et al., 2020).

        They are in log odds, in the label's unit, or in its logarithm where the objective has a log link.
        """
        booster = read_booster(folder / cls.file)
        outputs = booster.num_model_per_iteration()
        values = booster.predict(matrix, pred_contrib=True).reshape(len(matrix), outputs, -1)[:, :, :-1]
        return np.asarray(values[:, 0] if outputs == 1 else np.abs(values).sum(1))


@dataclass(frozen=True)
class _Data:
    """The binned rows of train and validation."""

    train: "lightgbm.Dataset"
    validation: "lightgbm.Dataset | None"
    factor: float
    """By what squared error multiplies the labels."""

    def set_unit(self, objective: str) -> float:
        """Give `train` the labels in the unit of the objective; return by what they are multiplied."""
        factor = self.factor if objective == SQUARED_ERROR else 1.0
        if self.factor != 1:
            self.train.set_label(self.label * factor)
        return factor

    @cached_property
    def label(self) -> Vector:
        """The labels of train, shape (rows,)."""
        return np.array(self.train.get_label(), np.float64)


class _Boosting(TrainingState):
    """A booster; in between it is kept in memory.

    A round in which no leaf can be split adds no tree (microsoft/LightGBM#4178), and a later one may again, since rows
    and columns are drawn. So the booster can have fewer iterations than rounds.
    """

    def __init__(self, params: dict[str, Any], data: _Data, factor: float) -> None:
        self.factor = factor
        self.iterations = [0]
        """How many iterations the booster has after each round."""
        self.booster = import_lightgbm().Booster(params, data.train)
        if data.validation is not None:
            self.booster.add_valid(data.validation, "validation")

    def advance(self, rounds: int) -> None:
        for _ in range(self.rounds, rounds):
            self.booster.update()
            # `current_iteration` does not count the constant tree that stands for a first round without a split.
            self.iterations.append(self.booster.num_trees() // self.booster.num_model_per_iteration())
            beat()
        self.rounds = rounds

    def scores(self) -> Scores:
        # LightGBM keeps the scores of validation up to date, and shows them to a metric only.
        shown: list[Scores] = []

        def show(scores: Scores, _: object) -> tuple[str, float, bool]:
            shown.append(np.array(scores))
            return "shown", 0.0, True

        self.booster.eval_valid(show)
        return shown[0] / self.factor

    def model(self, rounds: int) -> bytes:
        # Scoring does not read the section of parameters. It depends on the number of threads.
        text = self.booster.model_to_string(num_iteration=self.iterations[rounds])
        trees, _, _ = in_unit_of_label(text, self.factor).partition("\nparameters:\n")
        return f"{trees}\n".encode()

    def state(self) -> bytes:
        return str(self.rounds).encode()


def _fixed(context: TrainingContext) -> dict[str, Any]:
    """Parameters with which the number of threads does not change the model: each histogram is summed by one thread."""
    return {"num_threads": context.threads, "deterministic": True, "force_col_wise": True, "verbosity": -1}


def _dataset(
    blocks: Sequence[EncodedBlock],
    context: TrainingContext,
    params: dict[str, Any],
    reference: "lightgbm.Dataset | None",
) -> "lightgbm.Dataset":
    """Bin the rows of the blocks, without a copy of the floats.

    Codes are a set, however many they are: on adult, ames_housing, open_payments, fuel_economy and student_dropout,
    that has the better score on validation than the rank by frequency.
    """
    dataset: lightgbm.Dataset = import_lightgbm().Dataset(
        [block.matrix for block in blocks],
        label=np.concatenate([block.label for block in blocks]),
        weight=np.concatenate([context.row_weight(block) for block in blocks]),
        categorical_feature=[at for at, codes in enumerate(context.codes_of(LightGBM.encoder)) if codes],
        params=params,
        reference=reference,
    )
    dataset.construct()
    return dataset
