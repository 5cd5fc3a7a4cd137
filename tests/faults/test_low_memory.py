"""A trial or the final fit takes the memory of the machine, and Ray's monitor kills its worker again and again."""

import json
import random
import re
from pathlib import Path
from typing import Any

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
    # One trial of a search, or the final fit, takes more memory than the monitor allows.
    @classmethod
    def start_training(cls, params, context, data, seed, state=None):
        held, trial = [], seed % 100_003 if data.validation else "fit"
        while str(trial) == os.environ["HUNGRY"] and len(held) << 28 < {MOST}:
            held.append(b"x" * (1 << 28))
            time.sleep(0.2)
        return super().start_training(params, context, data, seed, state)
"""


def threshold() -> float:
    """The share of this machine's memory that is used when `ROOM` more bytes are taken than now."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    known = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
    return (known["MemTotal"] - known["MemAvailable"] + ROOM) / known["MemTotal"]


def run(
    folder: Path, loans: Path, hungry: object, monkeypatch: pytest.MonkeyPatch, fit: str = ""
) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a run in which that trial takes all memory, or the final fit."""
    (folder / "hungry.py").write_text(FAMILY)
    (folder / "on.yaml").write_text("trust: [hungry]\nconcurrent_trials: 1\n")
    (folder / "data").symlink_to(loans / "data")
    write_spec(
        folder,
        trials=f"trials: 6 => trials: {TRIALS}",
        family=f"model: {{xgboost: => {fit}model: {{hungry.Hungry:",
        register="register: {alias: challenger} => register: false",
    )
    monkeypatch.setenv("HUNGRY", str(hungry))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parents[2]}")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold():.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    return finish(begin(folder, "run", "loans.yaml", "--on", "on.yaml"), folder)


def test_a_trial_that_takes_all_memory_fails_after_three_deaths_and_the_others_go_on(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    hungry = random.Random(f"hungry {fault_seed}").randrange(TRIALS)
    code, answer = run(tmp_path, loans, hungry, monkeypatch)
    assert (code, answer["status"]) == (0, "unregistered"), answer["problems"]
    lines = (tmp_path / "runs" / answer["run"] / "trials.jsonl").read_text().splitlines()
    trials = {trial["trial"]: trial for trial in map(json.loads, lines)}
    assert [number for number in range(TRIALS) if trials[number]["status"] == "failed"] == [hungry]
    (entry,) = (tmp_path / "runs" / answer["run"] / "journal").glob(f"trial-{hungry:04d}.json")
    assert json.loads(entry.read_text())["found"]["why"].startswith("its worker died 3 times: ")


def test_a_final_fit_that_takes_all_memory_ends_with_the_amounts_and_can_be_resumed(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, answer = run(tmp_path, loans, "fit", monkeypatch, "fit: {on: train+validation}\n")
    (problem,) = answer["problems"]
    assert (code, answer["exit"], problem["key"]) == (4, 4, "memory")
    assert re.fullmatch(
        r"Ray has ended workers because a node has little memory left: [\d.]+ of [\d.]+ GB were used", problem["found"]
    )
    assert "ray-pipeline resume" in problem["fix"]
    monkeypatch.setenv("HUNGRY", "none")
    code, answer = finish(begin(tmp_path, "resume", answer["run"], "--on", "on.yaml"), tmp_path)
    assert (code, answer["trials"]) == (0, TRIALS)
