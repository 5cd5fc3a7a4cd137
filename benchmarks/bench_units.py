"""A label and sample weights in other units: what trees learn, against bare training with the same hyperparameters.

The labels are those of scikit-learn's diabetes (442 rows) times 1 to 1e-9, with a standard deviation of 1 before; the
weights of its breast cancer (569 rows) add up to the rows, or to 1. Every other row is held out.

usage: bench_units.py   -> one JSON line: r2 by unit of the label and AUC by sum of the weights, of both
"""

import json
import platform
from importlib.metadata import version
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import r2_score, roc_auc_score

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Task

ROUNDS, UNITS = 60, (1.0, 1e-4, 1e-5, 1e-9)
FAMILIES = {"xgboost": "num_boost_round", "lightgbm": "num_iterations"}


def params_of(family: str, context: TrainingContext) -> dict[str, Any]:
    """The default's hyperparameters, those of trial 0."""
    model = find("models", family)
    space = model().space(context)
    given = {name: model.start.get(name, value) for name, value in space.items()} | {FAMILIES[family]: ROUNDS}
    return given if context.task == "regression" else given | {"objective": space["objective"]}


def ours(family: str, task: Task, matrix: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Scores of the rows that are held out, through the family's interface."""
    context = TrainingContext(
        task=task,
        num_classes=2 if task == "binary" else 0,
        cardinalities={"trees": (0,) * matrix.shape[1]},
        threads=1,
        mean_weight=float(weight[::2].mean()),
        rows=len(label[::2]),
    )
    model, params = find("models", family), params_of(family, context)
    train, judged = (
        EncodedBlock(matrix=matrix[at::2], label=label[at::2], weight=weight[at::2], rows=pa.table({})) for at in (0, 1)
    )
    training = model.start_training(params, context, model.prepare_data(params, context, [train], [judged]), 0)
    training.advance(ROUNDS)
    return np.asarray(training.scores(), np.float64)


def bare(family: str, task: Task, matrix: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Scores of the same rows by the library's own training with the same hyperparameters."""
    classes = 2 if task == "binary" else 0
    context = TrainingContext(
        task=task, num_classes=classes, cardinalities={"trees": (0,) * matrix.shape[1]}, threads=1, rows=len(label[::2])
    )
    params = params_of(family, context)
    if family == "lightgbm":
        rows = lightgbm.Dataset(matrix[::2], label[::2], weight=weight[::2])
        early = {"early_stopping_round": 0, "verbosity": -1, "num_threads": 1}
        return np.asarray(lightgbm.train({**params, **early}, rows).predict(matrix[1::2]))
    own = {name: value for name, value in params.items() if name not in ("num_boost_round", "early_stopping_rounds")}
    rows = xgboost.QuantileDMatrix(matrix[::2], label[::2], weight=weight[::2], max_bin=params["max_bin"])
    booster = xgboost.train({**own, "tree_method": "hist", "nthread": 1}, rows, ROUNDS)
    return booster.predict(xgboost.DMatrix(matrix[1::2]))


def main() -> None:
    numbers, amount = load_diabetes(return_X_y=True)
    amount = (amount - amount.mean()) / amount.std()
    cells, benign = load_breast_cancer(return_X_y=True)
    found: dict[str, Any] = {}
    for family in FAMILIES:
        for name, train in (("ours", ours), ("bare", bare)):
            matrix, one = numbers.astype(np.float32), np.ones(len(amount))
            scored = {unit: train(family, "regression", matrix, unit * amount, one) for unit in UNITS}
            r2 = {f"{unit:g}": round(r2_score(unit * amount[1::2], scores), 3) for unit, scores in scored.items()}
            matrix, label = cells.astype(np.float32), benign.astype(float)
            auc = {
                total: round(roc_auc_score(label[1::2], train(family, "binary", matrix, label, weight)), 4)
                for total, weight in (("rows", np.ones(len(label))), ("1", np.full(len(label), 1 / len(label))))
            }
            found.setdefault(family, {})[name] = {"r2_by_unit": r2, "auc_by_sum_of_weights": auc}
    versions = {name: version(name) for name in FAMILIES}
    print(json.dumps({"benchmark": "units", **found, "machine": {"python": platform.python_version(), **versions}}))


if __name__ == "__main__":
    main()
