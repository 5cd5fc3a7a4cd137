"""A booster of XGBoost that was trained on the label in another unit (see `_label_unit.py`)."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_pipeline.components.models._xgboost import import_xgboost

if TYPE_CHECKING:
    import xgboost

SQUARED_ERROR = "reg:squarederror"
OF_GRADIENT, OF_GAIN = "reg_alpha", "gamma"
"""Hyperparameters that have the unit of the label, and of its square."""


def in_unit(params: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return the hyperparameters for labels that were multiplied by the factor."""
    powers = {OF_GRADIENT: factor, OF_GAIN: factor**2}
    return {name: value * powers[name] if name in powers else value for name, value in params.items()}


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
