"""`fit.on: auto` through the whole pipeline: right where a refit helps, and where the newest months mislead."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ray_pipeline import pipeline
from ray_pipeline.runs.release import Release
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]
XGBOOST = {"num_boost_round": 120, "early_stopping_rounds": 20, "learning_rate": 0.1, "max_depth": {"int": [2, 4]}}


def released(table: pa.Table, storage: Path, split: dict[str, Any], **labels: str) -> Release:
    spec = {
        "name": "toy",
        "task": "binary",
        "features": {"labels": {"path": table, "label": "late", "key": "row", **labels}},
        "split": split,
        "model": {"xgboost": XGBOOST},
        "search": {"trials": 10, "metric": "auc", "seed": 3, "scheduler": "none"},
        "evaluate": {"metrics": ["auc"], "calibrate": "none", "draws": 200},
        "checks": {"fail_on": "never"},
        "register": False,
    }
    return pipeline.run(spec, Where(storage=str(storage)))


def table_of(matrix: Any, logit: Any, rng: np.random.Generator, **more: Any) -> pa.Table:
    label = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(int)
    # Keys in another order than the rows: only the time says what comes first.
    columns = {f"x{place}": values for place, values in enumerate(matrix.T)}
    return pa.table({"row": rng.permutation(len(label)), "late": label, **columns, **more})


def months(rows: int = 9_000) -> pa.Table:
    """Six years; in the last three each month has a rate that never comes back."""
    rng = np.random.default_rng(1)
    month = np.sort(rng.integers(0, 72, rows))
    signal, shift = rng.normal(size=(rows, 3)), rng.normal(0, 2.0, 72)
    shift[:36] = 0
    at = pa.array((np.datetime64("2010-01") + month).astype("datetime64[us]"))
    logit = signal[:, 0] + 0.5 * signal[:, 1] * signal[:, 2] + shift[month]
    return table_of(signal, logit, rng, month=month % 12, at=at)


def alike(rows: int = 900) -> pa.Table:
    """Few rows with much signal: each further one helps."""
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(rows, 8))
    return table_of(matrix, 2 * matrix[:, :4].sum(axis=1), rng)


def test_newest_months_that_mislead_are_left_out(ray_local: None, tmp_path: Path) -> None:
    split = {"by": "time", "validation": "2014-01-01", "test": "2015-01-01"}
    release = released(months(), tmp_path, split, time="at")
    assert release.fit["on"] == "train" and release.fit["backtests"][0]["order"] == "time"
    assert release.fit["backtests"][0]["gain"] < 0
    folder = Path(release.folder)
    model = json.loads((folder / "model" / "model.json").read_text())
    assert (model["fit_on"], model["fit"]) == ("train", release.as_json()["fit"])
    assert "The registered model is fitted on train: in " in (folder / "report.html").read_text()


def test_rows_that_are_alike_are_all_used(ray_local: None, tmp_path: Path) -> None:
    release = released(alike(), tmp_path, {"by": "random"})
    assert release.fit["on"] == "train+validation" and release.fit["backtests"][0]["order"] == "none"
    again = released(alike(), tmp_path, {"by": "random"})
    assert again.fit == release.fit and again.metrics == release.metrics
