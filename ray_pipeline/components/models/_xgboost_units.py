"""The unit in which XGBoost trains squared error: a label that varies little is multiplied by a power of two.

XGBoost makes no split whose gain is below 1e-6 (`kRtEps`, src/tree/param.h), and a gain has the unit of the squared
label. Measured on one table: with a label that varies by 1e-4 the r2 was 0.91, and with one of 1e-5 all scores were
equal; in other units it was 0.97. A power of two changes no bit of what is trained but the exponents.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_pipeline.components.models._base import Scores
from ray_pipeline.components.models._xgboost import import_xgboost
from ray_pipeline.encoded_block import EncodedBlock

if TYPE_CHECKING:
    import xgboost

SQUARED_ERROR = "reg:squarederror"
LEAST_SPREAD = 2.0**-6
"""Labels with a lower standard deviation are multiplied until it is about 1."""
OF_GRADIENT, OF_GAIN = "reg_alpha", "gamma"
"""Hyperparameters that have the unit of the label, and of its square."""


def factor_of(blocks: Sequence[EncodedBlock], sum_over_workers: Callable[[Scores], Scores]) -> float:
    """Return the power of two by which squared error multiplies the labels, 1 for nearly all tables.

    Parameters
    ----------
    blocks
        The training rows of this worker.
    sum_over_workers
        Adds an array over all workers.
    """
    labels = [block.label.astype(np.float64) for block in blocks]
    rows, total = sum_over_workers(np.array([sum(map(len, labels)), sum(map(np.sum, labels))], np.float64))
    deviations = [label - total / rows for label in labels]
    (squares,) = sum_over_workers(np.array([sum(part @ part for part in deviations)], np.float64))
    spread = math.sqrt(squares / rows)
    return 2.0 ** -round(math.log2(spread)) if 0 < spread < LEAST_SPREAD else 1.0


def in_unit(params: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return the hyperparameters for labels that were multiplied by the factor."""
    powers = {OF_GRADIENT: factor, OF_GAIN: factor**2}
    return {name: value * powers.get(name, 1.0) if name in powers else value for name, value in params.items()}


def in_unit_of_label(booster: "xgboost.Booster", factor: float) -> "xgboost.Booster":
    """Return a booster that predicts the label itself, where `booster` predicts the label times the factor."""
    if factor == 1:
        return booster
    model = json.loads(booster.save_raw("json"))
    shape = model["learner"]["learner_model_param"]
    shape["base_score"] = str([score / factor for score in json.loads(shape["base_score"])])
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        is_leaf = np.array(tree["left_children"]) == -1
        conditions, weights = np.array(tree["split_conditions"]), np.array(tree["base_weights"])
        tree["split_conditions"] = np.where(is_leaf, conditions / factor, conditions).tolist()
        tree["base_weights"] = (weights / factor).tolist()
        tree["loss_changes"] = (np.array(tree["loss_changes"]) / factor**2).tolist()
    return import_xgboost().Booster(model_file=bytearray(json.dumps(model).encode()))
