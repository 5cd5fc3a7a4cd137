"""A trial takes the memory of the machine: Ray's monitor kills its worker; the trial fails, and the others go on."""

import json
import random
from pathlib import Path

import pytest
from command_fixture import begin, finish
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
TRIALS = 4
ROOM, MOST = 3 << 30, 12 << 30
"""Bytes that are left until Ray's monitor kills, and that the trial takes at most."""
FAMILY = f"""
import os
import time

from ray_pipeline.components.models.xgboost import XGBoost


class Hungry(XGBoost):
    # One trial of a search takes more memory than the monitor allows.
    @classmethod
    def start_training(cls, params, context, data, seed, state=None):
        held = []
        while seed % 100_003 == int(os.environ["HUNGRY_TRIAL"]) and len(data) > 1 and len(held) << 28 < {MOST}:
            held.append(b"x" * (1 << 28))
            time.sleep(0.2)
        return super().start_training(params, context, data, seed, state)
"""


def threshold() -> float:
    """The share of this machine's memory that is used when `ROOM` more bytes are taken than now."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    known = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
    return (known["MemTotal"] - known["MemAvailable"] + ROOM) / known["MemTotal"]


def test_a_trial_that_takes_all_memory_fails_after_three_deaths_and_the_others_go_on(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    hungry = random.Random(f"hungry {fault_seed}").randrange(TRIALS)
    monkeypatch.setenv("HUNGRY_TRIAL", str(hungry))
    (tmp_path / "hungry.py").write_text(FAMILY)
    (tmp_path / "on.yaml").write_text("trust: [hungry]\nconcurrent_trials: 1\n")
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(
        tmp_path,
        trials=f"trials: 6 => trials: {TRIALS}",
        family="xgboost: => hungry.Hungry:",
        register="register: {alias: challenger} => register: false",
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold():.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    code, answer = finish(begin(tmp_path, "run", "loans.yaml", "--on", "on.yaml"), tmp_path)
    assert (code, answer["status"]) == (0, "unregistered"), answer["problems"]
    lines = (tmp_path / "runs" / answer["run"] / "trials.jsonl").read_text().splitlines()
    trials = {trial["trial"]: trial for trial in map(json.loads, lines)}
    assert [number for number in range(TRIALS) if trials[number]["status"] == "failed"] == [hungry]
    (entry,) = (tmp_path / "runs" / answer["run"] / "journal").glob(f"trial-{hungry:04d}.json")
    assert json.loads(entry.read_text())["found"]["why"].startswith("its worker died 3 times: ")
