"""Whole runs with intervals: calibrated, measured, judged, registered and predicted; repeated over seeds; drift."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from ray_pipeline import pipeline
from ray_pipeline.registered_model import evaluate_registered, predict_rows
from ray_pipeline.repeats import repeat
from ray_pipeline.runs.release import Release
from ray_pipeline.serving import load
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROWS = 1_500


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory, ray_local: None) -> Where:
    return Where(storage=str(tmp_path_factory.mktemp("where") / "runs"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose noise grows with `x`, and whose classes follow from the same signal."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("rows")
    x, z = rng.uniform(0, 1, ROWS), rng.normal(size=ROWS)
    value = 3 * x + z + rng.normal(size=ROWS) * (0.1 + 2 * x)
    kind = np.array(["low", "mid", "top"])[np.digitize(value, [0.5, 2.5])]
    half = np.where(x < 0.5, "a", "b")
    table = pa.table({"id": np.arange(ROWS), "x": x, "z": z, "half": half, "value": value, "kind": kind})
    pq.write_table(table, folder / "rows.parquet")
    pq.write_table(table.set_column(2, "z", pa.array(z + 2)), folder / "moved.parquet")
    return folder


def spec_of(folder: Path, task: str, label: str, **more: Any) -> Spec:
    labels = {"path": "rows.parquet", "label": label, "key": "id", "columns": ["x", "z"], "slice_only": ["half"]}
    written = {
        "name": f"known_{task}",
        "task": task,
        "features": {"labels": labels},
        "split": {"by": "random", "validation": 0.25, "test": 0.25},
        "model": {"xgboost": {"num_boost_round": 40, "max_depth": 3}},
        "search": {"trials": 2},
        "evaluate": {"draws": 100, "slices": ["half"], "min_rows": 50},
    }
    return Spec.from_dict({**written, **more}, folder=folder)


@pytest.fixture(scope="module")
def numbers(folder: Path, at: Where) -> Release:
    intervals = {"coverage": 0.8, "method": "quantile"}
    gates = ["coverage >= 0.7", "coverage worst by half >= 0.6", "coverage >= champion - 0.1"]
    return pipeline.run(spec_of(folder, "regression", "value", intervals=intervals, gates=gates), at)


def test_intervals_of_quantiles_are_wider_where_the_noise_is_larger(numbers: Release) -> None:
    assert (numbers.status, [gate["passed"] for gate in numbers.gates]) == ("registered", [True] * 3)
    assert numbers.metrics["coverage"]["value"] == pytest.approx(0.8, abs=0.08)
    found = numbers.predictions
    inside = (found["low"] <= found["label"]) & (found["label"] <= found["high"])
    assert inside.mean() == pytest.approx(numbers.metrics["coverage"]["value"])
    assert ((found["low"] <= found["score"]) & (found["score"] <= found["high"])).all()
    width = (found["high"] - found["low"]).groupby(found["half"]).mean()
    assert width["b"] > 1.4 * width["a"]
    assert width.mean() == pytest.approx(numbers.metrics["interval_width"]["value"], rel=0.1)
    by_half = numbers.evaluation.query("metric == 'coverage'")
    assert {tuple(one.items()) for one in by_half["slice"]} == {(), (("half", "a"),), (("half", "b"),)}


def test_predict_and_load_give_the_intervals_of_the_run(
    numbers: Release, at: Where, folder: Path, tmp_path: Path
) -> None:
    answer = predict_rows("known_regression/1", folder / "rows.parquet", tmp_path / "scores.csv", at)
    assert "drift" not in answer
    scored = pacsv.read_csv(tmp_path / "scores.csv")
    assert scored.column_names == ["id", "score", "decision", "low", "high"]
    rows = pq.read_table(folder / "rows.parquet")
    model = load("models:/known_regression/1", at.registry_uri(Path.cwd()))
    assert model.intervals(rows).equals(scored.select(["low", "high"]))
    found = numbers.predictions
    np.testing.assert_array_equal(scored["low"].to_numpy()[found["key"]], found["low"])
    again = evaluate_registered("known_regression/1", folder / "rows.parquet", at)
    assert again["metrics"]["coverage"]["value"] > 0.75 and again["exit"] in (0, 7)


def test_drift_of_rows_without_labels_is_measured(numbers: Release, at: Where, folder: Path, tmp_path: Path) -> None:
    model, moved = "known_regression/1", folder / "moved.parquet"
    same = predict_rows(model, folder / "rows.parquet", tmp_path / "same.parquet", at, drift=True)
    other = predict_rows(model, moved, tmp_path / "other.parquet", at, drift=True)
    assert [row["severity"] for row in (*same["drift"], *same["score_drift"])] == [None] * 3
    severity = {row["column"]: row["severity"] for row in other["drift"]}
    assert severity == {"x": None, "z": "medium"} and other["score_drift"][0]["severity"] == "medium"
    plain = predict_rows(model, moved, tmp_path / "plain.parquet", at)
    assert pq.read_table(tmp_path / "plain.parquet").equals(pq.read_table(tmp_path / "other.parquet"))
    assert plain["rows"] == other["rows"] == ROWS


def test_sets_of_classes_over_two_seeds(folder: Path, at: Where, tmp_path: Path) -> None:
    spec = spec_of(folder, "multiclass", "kind", intervals={"coverage": 0.9})
    releases: list[Release] = []

    def run(one: Spec) -> Release:
        releases.append(pipeline.run(one, at))
        return releases[-1]

    answer = repeat(spec, 2, run)
    assert [one["status"] for one in answer["repeats"]] == ["registered", "unregistered"]
    keys, scores = ([list(one.predictions[name]) for one in releases] for name in ("key", "score_low"))
    assert keys[0] == keys[1] and scores[0] != scores[1]
    values = [one["metrics"]["coverage"] for one in answer["repeats"]]
    assert answer["mean"]["coverage"] == pytest.approx(np.mean(values)) == pytest.approx(0.9, abs=0.06)
    assert answer["spread"]["coverage"] == pytest.approx(np.std(values, ddof=1))
    found = releases[0].predictions
    inside = [label in members for label, members in zip(found["label"], found["set"], strict=True)]
    assert np.mean(inside) == pytest.approx(values[0])
    assert found["set"].map(len).mean() == pytest.approx(answer["metrics"]["set_size"]["value"])
    predict_rows("known_multiclass/1", folder / "rows.parquet", tmp_path / "scores.parquet", at)
    written = pq.read_table(tmp_path / "scores.parquet")
    assert written.column_names == ["id", "score_low", "score_mid", "score_top", "decision", "set"]
    sets = dict(zip(written["id"].to_pylist(), written["set"].to_pylist(), strict=True))
    assert [sets[key] for key in found["key"]] == [list(members) for members in found["set"]]
