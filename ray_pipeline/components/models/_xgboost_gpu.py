"""Whether XGBoost can train on a GPU of this process: where it cannot, it only warns, and trains on the CPU."""

import json

import numpy as np

from ray_pipeline.components.models._xgboost import import_xgboost


def train_a_tree_on_gpu() -> None:
    """Train a tree on two rows.

    Raises
    ------
    RuntimeError
        XGBoost is built without CUDA, or finds no GPU that it can use.
    """
    xgboost = import_xgboost()
    if not xgboost.build_info().get("USE_CUDA"):
        raise RuntimeError("it is built without CUDA")
    with xgboost.config_context(verbosity=0):
        data = xgboost.QuantileDMatrix(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
        booster = xgboost.train({"device": "cuda"}, data, 1)
    if not json.loads(booster.save_config())["learner"]["generic_param"]["device"].startswith("cuda"):
        raise RuntimeError("it finds no GPU that it can use")
