"""Small real bundles: 400 rows of every kind of column, encoded and trained as the pipeline does it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xgboost

from ray_pipeline.bundle import Bundle, write_bundle
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.components.column_encodings.ordinal import Ordinal
from ray_pipeline.components.encoders.trees import Trees

CARRIERS = ("UA", "AA", "DL", "B6")


@dataclass(frozen=True)
class Trained:
    """A bundle, the rows it was trained on, and what XGBoost itself says of them."""

    bundle: Bundle
    rows: pa.Table
    raw: np.ndarray


def rows(count: int = 400, seed: int = 0) -> pa.Table:
    """Numbers, whole numbers, booleans, texts and times, each with nulls."""
    draw = np.random.default_rng(seed)

    def holes(values: list) -> list:
        return [None if hole else value for hole, value in zip(draw.random(count) < 0.1, values, strict=True)]

    return pa.table(
        {
            "distance": pa.array(holes(draw.integers(80, 3000, count).tolist()), pa.int64()),
            "carrier": pa.array(holes(draw.choice(CARRIERS, count).tolist()), pa.string()),
            "late": pa.array(holes((draw.random(count) < 0.3).tolist()), pa.bool_()),
            "sched_dep_ts": pa.array(
                holes((1_356_998_400_000_000 + draw.integers(0, 10**13, count)).tolist()), pa.timestamp("us")
            ),
            "weather.temp": pa.array(holes(draw.normal(50, 20, count).tolist()), pa.float64()),
            "weather.precip": pa.array(holes(draw.exponential(0.1, count).tolist()), pa.float64()),
        }
    )


def train(folder: Path, *, task: str = "binary", calibration: dict | None = None, seed: int = 0) -> Trained:
    """A bundle in `folder/model`."""
    folder.mkdir(parents=True, exist_ok=True)
    table = rows(seed=seed)
    kinds = {field.name: kind_of(field.type) for field in table.schema}
    encoder = Trees(
        encoded=tuple(
            Ordinal(name=name, kind=kind, categories=CARRIERS) if kind == "category" else Number(name=name, kind=kind)
            for name, kind in kinds.items()
        )
    )
    matrix = encoder.apply(table)
    classes = {"binary": ["0", "1"], "multiclass": ["high", "low", "mid"], "regression": []}[task]
    signal = np.nan_to_num(matrix[:, 0]) / 1000 + (matrix[:, 1] == 1) + np.nan_to_num(matrix[:, 4]) / 50
    label = {
        "binary": (signal > 2.5).astype(float),
        "multiclass": np.digitize(signal, [2.0, 3.0]),
        "regression": signal,
    }[task]
    objective = {
        "binary": {"objective": "binary:logistic"},
        "multiclass": {"objective": "multi:softprob", "num_class": 3},
        "regression": {"objective": "reg:squarederror"},
    }[task]
    data = xgboost.DMatrix(
        matrix, label, feature_types=["c" if codes else "q" for codes in encoder.cardinalities], enable_categorical=True
    )
    booster = xgboost.train({**objective, "max_depth": 3, "nthread": 1, "seed": seed}, data, 12)
    booster.save_model(folder / "booster.ubj")
    bundle = write_bundle(
        folder / "model",
        encoder=encoder.to_json(),
        model_file=folder / "booster.ubj",
        model={"format": 1, "family": "xgboost", "params": {"max_depth": 3}, "rounds": 12, "metric": "log_loss"},
        calibration=calibration or {"kind": "none"},
        schema={
            "format": 1,
            "task": task,
            "label": "label",
            "classes": classes,
            "threshold": 0.4 if task == "binary" else None,
            "key": "row_id",
            "columns": [{"name": field.name, "type": str(field.type)} for field in table.schema],
            "features": {},
            "select": {},
            "base": str(folder),
        },
    )
    return Trained(bundle, table, booster.predict(data))
