"""Gradient-boosted trees by XGBoost: codes and NaN go in as they are, categories are split natively.

Chen & Guestrin, 2016. Hyperparameters bear the names of XGBoost's own parameter page.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ray_pipeline.components.models._base import Model, Scorer, Scores, TrainingContext, TrainingState
from ray_pipeline.components.models._private_xgboost import import_xgboost
from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Integer, Log, Named, Number, Within, Word
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix, Task

if TYPE_CHECKING:
    import xgboost

OBJECTIVE = {"binary": "binary:logistic", "multiclass": "multi:softprob"}
OF_NUMBERS = (
    "reg:squarederror",
    "reg:tweedie",
    "count:poisson",
    "reg:gamma",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
)
SMALL = 2_000
SMALL_TABLE_ROWS, SMALL_TABLE_BINS, LARGE_TABLE_BINS = 100_000, 512, 128
"""Bins: on 13,000 rows 512 are worth 1 % of RMSE over 128 and cost nothing; on 217,000 rows even 256 cost 14 % of the
time and gain nothing."""
NOT_FOR_BOOSTER = ("num_boost_round", "early_stopping_rounds")


class XGBoost(Model):
    """XGBoost's hyperparameters; the defaults are spaces that hold good models for tables of 1,000 to 10,000,000
    rows."""

    encoder: ClassVar[str] = "trees"
    start: ClassVar[dict[str, Any]] = {
        "max_depth": 6,
        "learning_rate": 0.1,
        "subsample": 0.9,
        "colsample_bytree": 0.8,
        "min_child_weight": 2.0,
        "reg_lambda": 1.0,
        "objective": "reg:squarederror",
    }
    only_for: ClassVar[Mapping[str, Task]] = {"objective": "regression"}
    library: ClassVar[str] = "xgboost"
    file: ClassVar[str] = "model.ubj"
    budget: ClassVar[str] = "num_boost_round"
    patience: ClassVar[str] = "early_stopping_rounds"
    collective: ClassVar[str | None] = "xgboost"

    max_depth: Annotated[Integer, Within(1, 30)] = Int(low=3, high=10)
    learning_rate: Annotated[Number, Within(0, 1, above=True)] = Log(low=0.02, high=0.3)
    subsample: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.5, high=1.0)
    colsample_bytree: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.4, high=1.0)
    min_child_weight: Annotated[Number, Within(0)] = Log(low=1.0, high=50.0)
    reg_lambda: Annotated[Number, Within(0)] = Log(low=0.1, high=10.0)
    reg_alpha: Annotated[Number, Within(0)] = 0.0
    gamma: Annotated[Number, Within(0)] = 0.0
    max_bin: Annotated[Integer, Within(2, 65_536)] | None = None
    """None: 512 up to 100,000 training rows, and 128 beyond."""
    max_cat_to_onehot: Annotated[Integer, Within(1)] = 4
    objective: Annotated[Word, Named(OF_NUMBERS)] | None = None
    """Of a regression; a classification has its own. None: squared error, and where no label is negative Tweedie's
    deviance (a log link) beside it."""
    num_boost_round: Annotated[Integer, Within(1, 100_000)] = 2000
    early_stopping_rounds: Annotated[Integer, Within(1)] = 60

    def space(self, context: TrainingContext) -> dict[str, Any]:
        """As given; bins and objective by the data, where they are left to it."""
        given = super().space(context)
        if given["max_bin"] is None:
            given["max_bin"] = SMALL_TABLE_BINS if context.rows <= SMALL_TABLE_ROWS else LARGE_TABLE_BINS
        if given["objective"] is None:
            of_regression = OneOf(values=OF_NUMBERS[:2]) if context.min_label >= 0 else OF_NUMBERS[0]
            given["objective"] = OBJECTIVE.get(context.task, of_regression)
        return given

    @classmethod
    def warm_up(cls) -> None:
        """Imports XGBoost."""
        import_xgboost()

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """The number of bins: it decides the quantised matrix."""
        return params["max_bin"]

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> "tuple[xgboost.DMatrix, ...]":
        """The quantised matrices of train and, with its cuts, of validation (where there are such rows)."""
        first = _quantised(train, context, params["max_bin"], None)
        return (first, _quantised(validation, context, params["max_bin"], first)) if validation else (first,)

    @classmethod
    def start_training(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        data: "tuple[xgboost.DMatrix, ...]",
        seed: int,
        state: bytes | None = None,
    ) -> TrainingState:
        """An empty booster, or that of the state."""
        own = {name: value for name, value in params.items() if name not in NOT_FOR_BOOSTER}
        # A seed for each round, and not the generator's hidden state: so a booster that goes on from its file draws as
        # it would have.
        fixed = {
            "tree_method": "hist",
            "device": context.device,
            "nthread": context.threads,
            "seed": seed,
            "seed_per_iteration": True,
            "verbosity": 0,
        }
        if context.task == "multiclass":
            fixed["num_class"] = context.num_classes
        return _Boosting({**own, **fixed}, data, state)

    @classmethod
    def gather(cls, share: Scores, start: int, total: int) -> Scores:
        """Every worker's scores, by a sum of arrays that are zero outside a worker's own rows."""
        from xgboost import collective

        if not collective.is_distributed():
            return share
        every = np.zeros((total, *share.shape[1:]), share.dtype)
        every[start : start + len(share)] = share
        return collective.allreduce(every, collective.Op.SUM)  # type: ignore[no-any-return]

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """The booster's `inplace_predict`: probabilities or numbers, (rows,) or (rows, classes) float32."""
        xgboost = import_xgboost()
        booster = xgboost.Booster(model_file=folder / cls.file)

        def score(matrix: Matrix) -> Scores:
            booster.set_param(
                {"nthread": 1 if len(matrix) < SMALL else 0}
            )  # waking a thread for each core costs more than a few rows do
            return np.asarray(booster.inplace_predict(matrix, validate_features=False))

        return score

    @classmethod
    def contributions(cls, folder: Path, matrix: Matrix) -> Matrix | None:
        """TreeSHAP (Lundberg et al., 2020), in log odds, the label's unit, or its logarithm where the objective has a
        log link."""
        xgboost = import_xgboost()
        booster = xgboost.Booster(model_file=folder / cls.file)
        data = xgboost.DMatrix(matrix, feature_types=booster.feature_types, enable_categorical=True)
        found = np.asarray(booster.predict(data, pred_contribs=True, validate_features=False))
        return np.abs(found[..., :-1]).sum(1) if found.ndim == 3 else found[:, :-1]


class _Boosting(TrainingState):
    """A booster between two rounds."""

    def __init__(self, params: dict[str, Any], data: "tuple[xgboost.DMatrix, ...]", state: bytes | None) -> None:
        import xgboost

        self.train, self.validation = data[0], data[-1]
        self.booster = xgboost.Booster(params, cache=list(data), model_file=bytearray(state) if state else None)
        self.rounds = self.booster.num_boosted_rounds() if state else 0

    def advance(self, rounds: int) -> None:
        for i in range(self.rounds, rounds):
            self.booster.update(self.train, i)
        self.rounds = rounds

    def scores(self) -> Scores:
        return np.asarray(
            self.booster.predict(self.validation)
        )  # only the rounds since the last look are evaluated: the matrix is in the booster's cache

    def model(self, rounds: int) -> bytes:
        return bytes(self.booster[:rounds].save_raw("ubj"))

    def state(self) -> bytes:
        # The columns' generator is hidden in the updater, and no file holds it: a new updater draws as the one of a
        # booster that was loaded would.
        self.booster.load_config(self.booster.save_config())
        return bytes(self.booster.save_raw("ubj"))


def _quantised(
    blocks: Sequence[EncodedBlock], context: TrainingContext, max_bin: int, ref: "xgboost.DMatrix | None"
) -> "xgboost.DMatrix":
    """The blocks, streamed in the same order on every pass into a quantised matrix: about one byte per cell, and never
    a copy of the floats.

    In memory it takes four passes (`QuantileDMatrix`). Where memory is too small the bins are paged from this node's
    disk (`ExtMemQuantileDMatrix`).
    """
    import xgboost

    types = ["c" if codes else "q" for codes in context.cardinalities[XGBoost.encoder]]

    class Blocks(xgboost.DataIter):  # type: ignore[misc]
        def __init__(self, cache: str | None) -> None:
            self.at = 0
            super().__init__(cache_prefix=cache, release_data=True)

        def reset(self) -> None:
            self.at = 0

        def next(self, input_data: Any) -> bool:
            if self.at == len(blocks):
                return False
            block = blocks[self.at]
            weight = (
                block.weight
                if context.class_weight is None
                else block.weight * np.asarray(context.class_weight)[block.label.astype(int)]
            )
            input_data(
                data=block.matrix,
                label=block.label,
                weight=None if (weight == 1).all() else weight,
                feature_types=types,
            )
            self.at += 1
            return True

    shape: dict[str, Any] = {"max_bin": max_bin, "ref": ref, "nthread": context.threads, "enable_categorical": True}
    if context.external:
        folder = tempfile.TemporaryDirectory(prefix="ray-pipeline-pages-", ignore_cleanup_errors=True)
        matrix = xgboost.ExtMemQuantileDMatrix(Blocks(f"{folder.name}/{'validation' if ref else 'train'}"), **shape)
        matrix.pages = folder  # its files go with it
    else:
        matrix = xgboost.QuantileDMatrix(Blocks(None), **shape)
    expected = sum(len(block.label) for block in blocks)
    if matrix.num_row() != expected:
        raise RuntimeError(f"{expected:,} rows went into the quantised matrix and {matrix.num_row():,} came out")
    return matrix
