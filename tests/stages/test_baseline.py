"""The constant is the weighted mean of train, scored on validation, against scikit-learn's dummies."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from encoded_fixture import SPEC
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from ray_pipeline import blocks
from ray_pipeline.spec import Spec
from ray_pipeline.stages.baseline import baseline

METRICS = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


@pytest.mark.parametrize("task", METRICS)
def test_the_constant_scores_as_the_dummy_of_scikit_learn(task: str) -> None:
    rng = np.random.default_rng(0)
    part = np.sort(rng.choice(3, 600, p=[0.6, 0.2, 0.2])).astype(np.int8)
    label = {"binary": rng.random(600) < 0.3, "multiclass": rng.choice(3, 600, p=[0.5, 0.3, 0.2]), "regression": rng.normal(3, 2, 600)}[task].astype(float)
    weight = rng.random(600)
    columns: dict[str, Any] = {blocks.LABEL: label, blocks.WEIGHT: weight, blocks.PART: part, blocks.KEY: np.arange(600), blocks.CLUSTER: np.arange(600, dtype=np.uint64)}
    rows = blocks.pack({"trees": np.zeros((600, 1), np.float32)}, {name: pa.array(values) for name, values in columns.items()})
    halves = [rows.take(np.arange(start, 600, 2)) for start in (0, 1)]
    spec = Spec.from_text(SPEC.replace("binary", task).replace("metric: auc", f"metric: {METRICS[task]}"), file="toy.yaml", folder=Path())
    encoded: Any = SimpleNamespace(fetch=lambda: halves, encoders={"trees": None})
    found = baseline(encoded, spec, ("0", "1", "2")[: 3 if task == "multiclass" else 2] if task != "regression" else ())

    train, validation = part == 0, part == 1
    nothing = np.zeros((600, 1))
    if task == "regression":
        dummy = DummyRegressor().fit(nothing[train], label[train], weight[train])
        expected = root_mean_squared_error(label[validation], dummy.predict(nothing[validation]), sample_weight=weight[validation])
    else:
        dummy = DummyClassifier(strategy="prior").fit(nothing[train], label[train], weight[train])
        expected = log_loss(label[validation], dummy.predict_proba(nothing[validation]), sample_weight=weight[validation])
    assert found.metric == METRICS[task] and found.value == pytest.approx(expected, rel=1e-9)
    assert len(found.constant) == (3 if task == "multiclass" else 1)
    assert found.as_json()["name"] == "constant"
