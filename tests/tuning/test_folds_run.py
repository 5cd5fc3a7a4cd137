"""Folds through the whole pipeline: what they leave in the run folder, and a bundle of their models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline import pipeline
from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import DataError
from ray_pipeline.runs.release import Release
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def table_of(rows: int = 800, teams: int = 40) -> pa.Table:
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(rows, 4))
    label = rng.random(rows) < 1 / (1 + np.exp(-2 * matrix[:, :2].sum(axis=1)))
    columns = {f"x{place}": values for place, values in enumerate(matrix.T)}
    return pa.table(
        {"row": np.arange(rows), "late": label.astype(int), "team": rng.integers(0, teams, rows), **columns}
    )


def released(table: pa.Table, storage: Path, split: dict[str, Any], fit: str) -> Release:
    xgboost = {"num_boost_round": 60, "early_stopping_rounds": 20, "max_depth": 3}
    spec = {
        "name": "toy",
        "task": "binary",
        "features": {"labels": {"path": table, "label": "late", "key": "row", "slice_only": ["team"]}},
        "split": {"by": "random", **split},
        "model": {"xgboost": xgboost},
        "search": {"trials": 4, "metric": "auc", "seed": 3},
        "evaluate": {"metrics": ["auc"], "threshold": {"maximize": "f1"}, "draws": 200},
        "fit": {"on": fit},
        "checks": {"fail_on": "never"},
        "register": False,
    }
    return pipeline.run(spec, Where(storage=str(storage)))


def test_the_models_of_the_folds_are_one_bundle_and_calibrated_out_of_fold(ray_local: None, tmp_path: Path) -> None:
    release = released(table_of(), tmp_path, {"folds": 4}, "folds")
    folder = Path(release.folder)
    folds = json.loads((folder / "folds.json").read_text())
    assert (folds["folds"], folds["order"], len(folds["by_fold"])) == (4, "none", 4)
    unseen = release.rows["train"] + release.rows["validation"]
    assert folds["rows"] == unseen == sum(one["scored"] for one in folds["by_fold"])
    assert all(one["train"] + one["scored"] == unseen for one in folds["by_fold"])
    assert 0.7 < folds["value"] < 1
    calibration = json.loads((folder / "calibration.json").read_text())
    assert (calibration["on"], calibration["rows"]) == ("folds", unseen)
    assert "out of fold" in (folder / "report.html").read_text()
    model = json.loads((folder / "model" / "model.json").read_text())
    assert model["fit_on"] == release.fit["on"] == "folds"
    members = json.loads((folder / "model" / "members.json").read_text())["members"]
    assert [one["weight"] for one in members] == [0.25] * 4 and {one["rounds"] for one in members} == {folds["rounds"]}
    test = table_of().filter(
        pa.compute.is_in(table_of()["row"], pq.read_table(folder / "predictions/test.parquet")["key"])
    )
    written = {row["key"]: row["score"] for row in pq.read_table(folder / "predictions/test.parquet").to_pylist()}
    scored = Bundle.load(folder / "model").score(test)
    assert [written[key] for key in test["row"].to_pylist()] == scored.tolist()


def test_fewer_groups_than_folds_end_the_run(ray_local: None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"5 folds, but train and validation have 4 groups"):
        released(table_of(teams=5), tmp_path, {"group": "team", "folds": 5, "validation": 0.3, "test": 0.3}, "train")
