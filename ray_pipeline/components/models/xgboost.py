"""Gradient-boosted trees by XGBoost: codes and NaN go in as they are, categories are split natively.

Chen & Guestrin, 2016. Hyperparameters bear the names of XGBoost's own parameter page.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from ray_pipeline.components.models._base import Model, Scorer, Scores, TrainingContext, TrainingState, scoring_threads
from ray_pipeline.components.models._label_unit import factor_of
from ray_pipeline.components.models._xgboost import import_xgboost
from ray_pipeline.components.models._xgboost_file import read_booster
from ray_pipeline.components.models._xgboost_gpu import train_a_tree_on_gpu
from ray_pipeline.components.models._xgboost_matrix import quantised
from ray_pipeline.components.models._xgboost_names import feature_names
from ray_pipeline.components.models._xgboost_units import SQUARED_ERROR, in_unit, in_unit_of_label
from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Integer, Log, Named, Number, Within, Word
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.heartbeat import beat
from ray_pipeline.values import Matrix, Task, Vector

if TYPE_CHECKING:
    import xgboost

OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob"}
OBJECTIVES_OF_NUMBERS = (
    "reg:squarederror",
    "reg:tweedie",
    "count:poisson",
    "reg:gamma",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:quantileerror",
)
QUANTILES, MEDIAN = "reg:quantileerror", 0.5
OF_OBJECTIVE = {
    "quantile_alpha": (QUANTILES,),
    "tweedie_variance_power": ("reg:tweedie",),
    "huber_slope": ("reg:pseudohubererror",),
}
SMALL_TABLE_ROWS, SMALL_TABLE_BINS, LARGE_TABLE_BINS = 100_000, 512, 128
"""On 13,000 rows 512 bins have 1 % less RMSE than 128 at the same cost; on 217,000 rows even 256 take 14 % more time
and gain nothing."""
NOT_FOR_BOOSTER = ("num_boost_round", "early_stopping_rounds")


class XGBoost(Model):
    """XGBoost's hyperparameters; their default spaces hold good models for tables of 1,000 to 10,000,000 rows."""

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
    only_for: ClassVar[Mapping[str, Task]] = dict.fromkeys(("objective", *OF_OBJECTIVE), "regression")
    of_objective: ClassVar[Mapping[str, tuple[str, ...]]] = OF_OBJECTIVE
    newer: ClassVar[tuple[str, ...]] = ("colsample_bylevel", "colsample_bynode", "grow_policy", "max_leaves")
    library: ClassVar[str] = "xgboost"
    file: ClassVar[str] = "model.ubj"
    budget: ClassVar[str] = "num_boost_round"
    patience: ClassVar[str] = "early_stopping_rounds"
    takes_monotone: ClassVar[bool] = True
    row_cost: ClassVar[int] = 1
    takes_interactions: ClassVar[bool] = True
    takes_quantiles: ClassVar[bool] = True
    collective: ClassVar[str | None] = "xgboost"
    uses_gpu: ClassVar[bool] = True

    max_depth: Annotated[Integer, Within(1, 30)] = Int(low=3, high=10)
    learning_rate: Annotated[Number, Within(0, 1, above=True)] = Log(low=0.02, high=0.3)
    subsample: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.5, high=1.0)
    colsample_bytree: Annotated[Number, Within(0, 1, above=True)] = Float(low=0.4, high=1.0)
    colsample_bylevel: Annotated[Number, Within(0, 1, above=True)] = 1.0
    colsample_bynode: Annotated[Number, Within(0, 1, above=True)] = 1.0
    min_child_weight: Annotated[Number, Within(0)] = Log(low=1.0, high=50.0)
    reg_lambda: Annotated[Number, Within(0)] = Log(low=0.1, high=10.0)
    reg_alpha: Annotated[Number, Within(0)] = 0.0
    gamma: Annotated[Number, Within(0)] = 0.0
    grow_policy: Annotated[Word, Named(("depthwise", "lossguide"))] = "depthwise"
    max_leaves: Annotated[Integer, Within(0)] = 0
    """0: as many as `max_depth` allows."""
    max_bin: Annotated[Integer, Within(2, 65_536)] | None = None
    """None: 512 up to 100,000 training rows, and 128 beyond."""
    max_cat_to_onehot: Annotated[Integer, Within(1)] = 4
    objective: Annotated[Word, Named(OBJECTIVES_OF_NUMBERS)] | None = None
    """Of a regression. None: squared error, or where no label is negative a choice of it and Tweedie's deviance (a log
    link)."""
    quantile_alpha: Annotated[Number, Within(0, 1, above=True)] | None = None
    """The quantile that `reg:quantileerror` predicts. None: the median."""
    tweedie_variance_power: Annotated[Number, Within(1, 2, above=True)] | None = None
    """Of `reg:tweedie`. None: 1.5."""
    huber_slope: Annotated[Number, Within(0, above=True)] | None = None
    """Of `reg:pseudohubererror`. None: 1."""
    num_boost_round: Annotated[Integer, Within(1, 100_000)] = 2000
    early_stopping_rounds: Annotated[Integer, Within(1)] = 60

    def space(self, context: TrainingContext) -> dict[str, Any]:
        """Return the values and spaces; the data decides `max_bin` and `objective` where they are None."""
        given = super().space(context)
        if given["max_bin"] is None:
            given["max_bin"] = SMALL_TABLE_BINS if context.rows <= SMALL_TABLE_ROWS else LARGE_TABLE_BINS
        if given["objective"] is None:
            of_regression = (
                OneOf(values=OBJECTIVES_OF_NUMBERS[:2]) if context.min_label >= 0 else OBJECTIVES_OF_NUMBERS[0]
            )
            given["objective"] = QUANTILES if context.quantiles else OBJECTIVES.get(context.task, of_regression)
        if given["objective"] == QUANTILES and given["quantile_alpha"] is None:
            given["quantile_alpha"] = MEDIAN
        return {name: value for name, value in given.items() if name not in OF_OBJECTIVE or value is not None}

    @classmethod
    def warm_up(cls) -> None:
        """Import XGBoost."""
        import_xgboost()

    @classmethod
    def try_gpu(cls) -> None:
        """Train a tree on the GPU."""
        train_a_tree_on_gpu()

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
        """Return the quantised matrix of train, and validation as it is."""
        matrix = quantised(train, context, params["max_bin"], cls.encoder)
        factor = factor_of(train, cls.sum_over_workers) if context.task == "regression" else 1.0
        label = np.concatenate([block.label for block in train]) if factor != 1 else None
        return _Data(train=matrix, validation=validation, factor=factor, label=label)

    @classmethod
    def start_training(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        data: "_Data",
        seed: int,
        state: bytes | None = None,
    ) -> TrainingState:
        """Return an empty booster, or the booster of `state`."""
        factor = data.set_unit(params["objective"])
        own = in_unit({name: value for name, value in params.items() if name not in NOT_FOR_BOOSTER}, factor)
        # A seed for each round: a booster that continues from its file draws as one that was never interrupted.
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
        if monotone := context.monotone.get(cls.encoder):
            fixed["monotone_constraints"] = monotone
        if interactions := context.interactions.get(cls.encoder):
            fixed["interaction_constraints"] = str([list(group) for group in interactions])
        if context.quantiles:
            fixed["quantile_alpha"] = list(context.quantiles)
        names = feature_names(context.features.get(cls.encoder, ()))
        return _Boosting({**own, **fixed}, data, state, names, factor)

    @classmethod
    def sum_over_workers(cls, array: Scores) -> Scores:
        """Add the arrays of all workers with XGBoost's collective."""
        collective = import_xgboost().collective
        return collective.allreduce(array, collective.Op.SUM) if collective.is_distributed() else array

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Return the booster's `inplace_predict`; scores are float32."""
        booster = read_booster(folder / cls.file)
        predict = _predictor(booster)
        return (lambda matrix: _middle(predict(matrix))) if _predicts_quantiles(booster) else predict

    @classmethod
    def quantiles(cls, folder: Path) -> Scorer:
        """Return the booster's `inplace_predict`, of shape (n, quantiles)."""
        return _predictor(read_booster(folder / cls.file))

    @classmethod
    def contributions(cls, folder: Path, matrix: Matrix) -> Matrix | None:
        """Return TreeSHAP values (Lundberg et al., 2020).

        They are in log odds, in the label's unit, or in its logarithm where the objective has a log link.
        """
        booster = read_booster(folder / cls.file)
        data = import_xgboost().DMatrix(matrix, feature_types=booster.feature_types, enable_categorical=True)
        found = np.asarray(booster.predict(data, pred_contribs=True, validate_features=False))
        if found.ndim == 3 and _predicts_quantiles(booster):
            return np.asarray(_middle(found)[:, :-1])
        return np.abs(found[..., :-1]).sum(1) if found.ndim == 3 else found[:, :-1]


def _predictor(booster: "xgboost.Booster") -> Scorer:
    threads, lock = -1, threading.Lock()

    def predict(matrix: Matrix) -> Scores:
        nonlocal threads
        if threads != (wanted := scoring_threads(matrix, 0)):
            with lock:
                booster.set_param({"nthread": wanted})
                threads = wanted
        return np.asarray(booster.inplace_predict(matrix, validate_features=False))

    return predict


def _predicts_quantiles(booster: "xgboost.Booster") -> bool:
    """Whether the booster predicts several quantiles of a row."""
    objective = json.loads(booster.save_config())["learner"]["objective"]
    alpha = objective.get("quantile_loss_param", {}).get("quantile_alpha", "")
    return objective["name"] == QUANTILES and "," in alpha


def _middle(quantiles: Any) -> Any:
    """The quantile in the middle, which is the score."""
    return quantiles[:, quantiles.shape[1] // 2]


@dataclass(frozen=True)
class _Data:
    """What a trial trains on, and the rows that it is judged by."""

    train: "xgboost.DMatrix"
    validation: Sequence[EncodedBlock]
    """They are scored as a bundle scores rows. By the bins of train, a value beyond twice the largest of train would go
    with the largest, and a category that train lacks with another. A model that is loaded sends both elsewhere."""
    factor: float
    """By what squared error multiplies the labels."""
    label: Vector | None
    """The labels of train where the factor is not 1."""

    def set_unit(self, objective: str) -> float:
        """Give `train` the labels in the unit of the objective; return by what they are multiplied."""
        factor = self.factor if objective == SQUARED_ERROR else 1.0
        if self.label is not None:
            self.train.set_label(self.label * factor)
        return factor


class _Boosting(TrainingState):
    """A booster, between two rounds."""

    def __init__(
        self, params: dict[str, Any], data: _Data, state: bytes | None, names: list[str], factor: float
    ) -> None:
        self.names, self.quantiles, self.factor = names, isinstance(params.get("quantile_alpha"), list), factor
        self.data = data
        self.booster = import_xgboost().Booster(
            params, cache=[data.train], model_file=bytearray(state) if state else None
        )
        self.rounds = self.booster.num_boosted_rounds() if state else 0
        self.on_gpu = params["device"] != "cpu"
        self.margins: list[Scores | None] = [None] * len(data.validation)
        """What the trees of the first `summed` rounds add up to for each row of a block, before the link function."""
        self.summed = 0

    def advance(self, rounds: int) -> None:
        for i in range(self.rounds, rounds):
            self.booster.update(self.data.train, i)
            beat()
        self.rounds = rounds

    def scores(self) -> Scores:
        found = []
        for at, block in enumerate(self.data.validation):
            predict = partial(self.booster.inplace_predict, block.matrix, validate_features=False)
            if self.on_gpu or self.summed == self.rounds:
                found.append(np.asarray(predict()))
                continue
            # Only the trees since the last call are evaluated: the sum has the bits of one over all trees. No tree at
            # all is the link function.
            since, none = (self.summed, self.rounds), (self.rounds, self.rounds)
            self.margins[at] = np.asarray(
                predict(iteration_range=since, base_margin=self.margins[at], predict_type="margin")
            )
            found.append(np.asarray(predict(iteration_range=none, base_margin=self.margins[at])))
        self.summed = self.rounds
        scores = np.concatenate(found) / np.float32(self.factor)
        return _middle(scores) if self.quantiles else scores

    def model(self, rounds: int) -> bytes:
        booster = in_unit_of_label(self.booster[:rounds], self.factor)
        booster.feature_names = self.names or None
        return bytes(booster.save_raw("ubj"))

    def state(self) -> bytes:
        # The updater draws columns from a generator that no file holds. A new updater draws as a loaded booster would.
        self.booster.load_config(self.booster.save_config())
        return bytes(self.booster.save_raw("ubj"))
