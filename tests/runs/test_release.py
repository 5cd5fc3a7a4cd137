"""A release is a value: it copies, pickles and compares; its data frames are read from the run folder."""

import copy
import json
import pickle
import shutil
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ray_pipeline.runs.release import Release

ANSWER = {
    "run": "loans-01234567-1",
    "status": "refused",
    "exit": 7,
    "model": None,
    "version": None,
    "family": "xgboost",
    "fit": {"on": "train", "why": "the spec says so", "backtests": []},
    "metrics": {"auc": {"value": 0.8, "low": 0.7, "high": None}},
    "gates": [{"gate": "auc >= 0.9", "passed": False}],
    "trials": 5,
    "rows": {"train": 10, "dropped": {"where": 1}},
    "seconds": {"read": 0.1},
    "report": "s3://runs/here/loans-01234567-1/report.html",
    "problems": [],
}


def test_the_answer_of_the_contract_is_read_back_as_the_same_release() -> None:
    release = Release.from_json(ANSWER)
    assert release.as_json() == ANSWER and Release.from_json(json.loads(json.dumps(release.as_json()))) == release
    assert (release.num_trials, release.folder) == (5, "s3://runs/here/loans-01234567-1")


def test_it_copies_pickles_and_compares() -> None:
    release = Release.from_json(ANSWER)
    for again in (copy.copy(release), copy.deepcopy(release), pickle.loads(pickle.dumps(release)), replace(release)):
        assert again == release and again.as_json() == ANSWER
    assert replace(release, version=2) != release
    with pytest.raises(FrozenInstanceError):
        release.status = "registered"  # type: ignore[misc]


def test_a_notebook_shows_its_verdict() -> None:
    html = Release.from_json(ANSWER)._repr_html_()
    assert "loans-01234567-1: refused" in html and "auc &gt;= 0.9" in html and "0.8000" in html


@pytest.mark.ray
def test_its_frames_are_the_files_of_the_run_folder(release: Release, complete: Path) -> None:
    table = pq.read_table(complete / "predictions/test.parquet")
    assert release.predictions.equals(table.to_pandas()) and len(release.predictions) == release.rows["test"]
    written = [json.loads(line) for line in (complete / "trials.jsonl").read_text().splitlines()]
    assert release.trials.to_dict("records") == written and len(written) == release.num_trials == 5
    evaluation = json.loads((complete / "evaluation.json").read_text())
    assert release.evaluation["metric"].tolist() == [row["metric"] for row in evaluation]
    np.testing.assert_array_equal(
        release.evaluation[["value", "low", "high"]].to_numpy(float),
        np.array([[row["value"], row["low"], row["high"]] for row in evaluation], float),
    )
    overall = release.evaluation[release.evaluation["slice"].map(len) == 0]
    assert {row.metric: row.value for row in overall.itertuples()} == {
        name: metric["value"] for name, metric in release.metrics.items()
    }


@pytest.mark.ray
def test_it_travels_to_another_process_and_follows_its_folder(release: Release, complete: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(complete, tmp_path / "elsewhere")
    there = replace(pickle.loads(pickle.dumps(release)), report=str(moved / "report.html"))
    assert there != release and there.predictions.equals(release.predictions)
    assert Release.from_json(json.loads((complete / "journal/release.json").read_text())["found"]) == release
