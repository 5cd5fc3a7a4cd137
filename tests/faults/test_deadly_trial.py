"""A trial that kills its worker whenever it trains: it fails with its cause, and the others go on."""

import json
import random
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
    # A trial of a search kills its process, as Ray's monitor of memory and Linux's do: at once, or after some rounds.
    @classmethod
    def start_training(cls, params, context, data, seed, state=None):
        training = super().start_training(params, context, data, seed, state)
        if seed % 100_003 == int(os.environ["DEADLY_TRIAL"]) and data.validation:
            train, dies_at = training.advance, int(os.environ["DEADLY_ROUND"])

            def advance(rounds):
                train(min(rounds, dies_at))
                if rounds >= dies_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            training.advance = advance
        return training
"""
TRIALS, ROUNDS = 4, 40


def test_a_trial_whose_worker_dies_again_and_again_fails_and_the_others_go_on(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    draw = random.Random(f"deadly {fault_seed}")
    deadly, dies_at = draw.randrange(TRIALS), draw.randint(1, ROUNDS // 4)
    monkeypatch.setenv("DEADLY_TRIAL", str(deadly))
    monkeypatch.setenv("DEADLY_ROUND", str(dies_at))
    (tmp_path / "deadly.py").write_text(FAMILY)
    (tmp_path / "on.yaml").write_text("trust: [deadly]\n")
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(
        tmp_path,
        trials=f"trials: 6 => trials: {TRIALS}",
        family="xgboost: => deadly.Deadly:",
        register="register: {alias: challenger} => register: false",
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    code, answer = finish(begin(tmp_path, "run", "loans.yaml", "--on", "on.yaml"), tmp_path)
    assert (code, answer["status"], answer["trials"]) == (0, "unregistered", TRIALS)
    lines = (tmp_path / "runs" / answer["run"] / "trials.jsonl").read_text().splitlines()
    trials = {trial["trial"]: trial for trial in map(json.loads, lines)}
    assert [number for number in range(TRIALS) if trials[number]["status"] == "failed"] == [deadly]
    (entry,) = (tmp_path / "runs" / answer["run"] / "journal").glob(f"trial-{deadly:04d}.json")
    assert json.loads(entry.read_text())["found"]["why"].startswith("its worker died 3 times: ")
