"""Native code that hangs in a trial and in the final fit: the worker is killed, and its work is done again."""

import json
import random
import time
from pathlib import Path

import pytest
from command_fixture import begin, finish
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
FAMILY = """
import ctypes
import os
from pathlib import Path

from ray_pipeline.components.models.xgboost import XGBoost


class Hanging(XGBoost):
    # Hangs once in a trial and once in the final fit: in C, with Python's lock, so that no thread can do anything.
    @classmethod
    def start_training(cls, params, context, data, seed, state=None):
        training = super().start_training(params, context, data, seed, state)
        train, once = training.advance, Path(os.environ["HANGS"], "trial" if data.validation else "fit")

        def advance(rounds):
            if training.rounds >= int(os.environ["HANGS_AT"]) and not once.exists():
                once.touch()
                ctypes.PyDLL(None).sleep(3600)
            train(rounds)

        training.advance = advance
        return training
"""
KILLED_S = 60.0


def run(folder: Path, loans: Path, hangs: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """The folder of a whole run with that family, and what it has said."""
    folder.mkdir()
    (folder / "hanging.py").write_text(FAMILY)
    (folder / "on.yaml").write_text("stall_after: 10s\ntrust: [hanging]\n")
    (folder / "data").symlink_to(loans / "data")
    write_spec(
        folder,
        trials="trials: 6 => trials: 3",
        family="xgboost: => hanging.Hanging:",
        rounds="num_boost_round: 40 => num_boost_round: 150",
        register="register: {alias: challenger} => register: false",
    )
    monkeypatch.setenv("HANGS", str(hangs))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parents[2]}")
    code, answer = finish(begin(folder, "run", "loans.yaml", "--on", "on.yaml"), folder)
    assert code == 0, (folder / "stderr.txt").read_text()[-3000:]
    return folder / "runs" / answer["run"], (folder / "stderr.txt").read_text()


def test_a_worker_that_hangs_in_native_code_is_killed_and_the_model_has_the_same_bytes(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    monkeypatch.setenv("HANGS_AT", str(random.Random(f"stall {fault_seed}").randint(1, 20)))
    hangs, never = tmp_path / "hangs", tmp_path / "never"
    for folder in (hangs, never):
        folder.mkdir()
    for name in ("trial", "fit"):
        (never / name).touch()
    whole, said = run(tmp_path / "whole", loans, never, monkeypatch)
    assert "killed worker" not in said
    began = time.monotonic()
    disturbed, said = run(tmp_path / "disturbed", loans, hangs, monkeypatch)
    took = time.monotonic() - began
    assert sorted(path.name for path in hangs.iterdir()) == ["fit", "trial"]
    assert said.count("no progress for 10s (`stall_after`); its work is done again") == 2
    assert took < 2 * KILLED_S + 60
    for name in ("model/model.ubj", "model/encoder.json", "model/calibration.json", "evaluation.json"):
        assert (disturbed / name).read_bytes() == (whole / name).read_bytes(), name
    trials = [
        [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in text.splitlines()]
        for text in ((run / "trials.jsonl").read_text() for run in (whole, disturbed))
    ]
    assert trials[0] == trials[1]
