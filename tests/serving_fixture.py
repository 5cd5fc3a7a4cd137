"""Small real bundles on columns of numbers alone, as arrays of scikit-learn's checks have them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost

from ray_pipeline.bundle import write_bundle
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.components.encoders.trees import Trees
from ray_pipeline.conformal import Calibration
from ray_pipeline.serving import LoadedModel

OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}


def numbers(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Random numbers; shape (rows, columns)."""
    return np.random.default_rng(seed).normal(size=(rows, columns))


def train_on_numbers(
    folder: Path,
    task: str,
    names: Sequence[str],
    *,
    spec: str = "",
    threshold: float = 0.4,
    intervals: Calibration | None = None,
) -> LoadedModel:
    """A model in `folder/model`: classes depend on the first column, a number on all of them."""
    matrix = numbers(200, len(names))
    encoder = Trees(encoded=tuple(Number(name=name, kind="number") for name in names))
    label = {
        "binary": matrix[:, 0] > 0,
        "multiclass": np.digitize(matrix[:, 0], [-0.5, 0.5]),
        "regression": matrix.sum(axis=1),
    }[task]
    folder.mkdir(parents=True, exist_ok=True)
    data = xgboost.DMatrix(encoder.apply(pa.table(dict(zip(names, matrix.T, strict=True)))), label)
    parameters = {"objective": OBJECTIVES[task], "max_depth": 2, "nthread": 1, "eta": 0.5}
    if intervals and intervals.by_quantiles:
        parameters |= {"objective": "reg:quantileerror", "quantile_alpha": [0.05, 0.5, 0.95]}
    booster = xgboost.train(parameters | ({"num_class": 3} if task == "multiclass" else {}), data, 20)
    booster.save_model(folder / "booster.ubj")
    write_bundle(
        folder / "model",
        encoder=encoder.to_json(),
        model_file=folder / "booster.ubj",
        model={"format": 1, "family": "xgboost", "params": {}, "rounds": 20, "metric": "log_loss"},
        calibration={"kind": "none"},
        schema={
            "format": 1,
            "task": task,
            "label": "label",
            "classes": ["high", "low", "mid"] if task == "multiclass" else [],
            "threshold": threshold if task == "binary" else None,
            "columns": [{"name": name, "type": "double"} for name in names],
            "spec": spec,
            "base": str(folder),
            **({"intervals": intervals.to_json()} if intervals else {}),
        },
    )
    return LoadedModel.load(folder / "model")
