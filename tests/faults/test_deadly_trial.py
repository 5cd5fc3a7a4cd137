"""A trial that kills its worker whenever it trains: it fails with its cause, and the others go on."""

import json
from pathlib import Path

import pytest
from command_fixture import begin, finish
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
FAMILY = """
import os
import signal

from ray_pipeline.components.models.xgboost import XGBoost


class Deadly(XGBoost):
    # The second trial of a search kills its process, as Ray's monitor of memory and Linux's do.
    @classmethod
    def start_training(cls, params, context, data, seed, state=None):
        if seed % 100_003 == 1 and len(data) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().start_training(params, context, data, seed, state)
"""


def test_a_trial_whose_worker_dies_again_and_again_fails_and_the_others_go_on(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text(FAMILY)
    (tmp_path / "on.yaml").write_text("trust: [deadly]\n")
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(
        tmp_path,
        trials="trials: 6 => trials: 4",
        family="xgboost: => deadly.Deadly:",
        register="register: {alias: challenger} => register: false",
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    code, answer = finish(begin(tmp_path, "run", "loans.yaml", "--on", "on.yaml"), tmp_path)
    assert (code, answer["status"], answer["trials"]) == (0, "unregistered", 4)
    lines = (tmp_path / "runs" / answer["run"] / "trials.jsonl").read_text().splitlines()
    trials = {trial["trial"]: trial for trial in map(json.loads, lines)}
    assert [trials[number]["status"] == "failed" for number in range(4)] == [False, True, False, False]
    (entry,) = (tmp_path / "runs" / answer["run"] / "journal").glob("trial-0001.json")
    assert json.loads(entry.read_text())["found"]["why"].startswith("its worker died 3 times: ")
