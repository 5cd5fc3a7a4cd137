"""The driver is killed at a random moment of a stage: `resume` ends with the bytes of a run that nobody killed."""

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bench_kill
import pytest
from bench_kill import Kill

pytestmark = [pytest.mark.ray, pytest.mark.long]
ROWS, TRIALS = 800, 4
STAGES = {
    "check": [("", "journal/begin.json")],
    "read": [("journal/begin.json", "journal/profile.json")],
    "encode": [("journal/profile.json", "journal/digest-encoder.json")],
    "search": [("journal/digest-encoder.json", "journal/digest-trials.json")],
    "fit": [("journal/digest-trials.json", "journal/fit.json")],
    "evaluate": [("journal/fit.json", "journal/test_part.json"), ("journal/release.json", "manifest.json")],
    "register": [("journal/test_part.json", "journal/release.json")],
}
"""The files of the run folder between which a stage works; for `evaluate` also those of the report."""
WORKER_S = 2.0
"""The time after a trial within which a worker is killed."""


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: what it leaves, and the seconds from its start to each of its files."""

    outcome: dict
    written: dict[str, float]


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as root:  # sockets lie below, and their paths are short
        yield root


@pytest.fixture(scope="module")
def undisturbed(root: str) -> Undisturbed:
    folder = bench_kill.made(root, "whole", "xgboost", rows=ROWS, trials=TRIALS)
    began = (folder / "kill.yaml").stat().st_mtime
    answer = bench_kill.answer(bench_kill.start(folder, "run", "kill.yaml"))
    assert answer["exit"] == 0, (folder / "stderr.txt").read_text()[-3000:]
    run = folder / "runs" / answer["run"]
    files = [path for path in run.rglob("*.json") if path.is_file()]
    written = {str(path.relative_to(run)): path.stat().st_mtime - began for path in files}
    return Undisturbed(bench_kill.outcome(folder, answer["run"]), written)


def resumed(folder: Path, kill: Kill, undisturbed: Undisturbed) -> dict:
    """The run with that kill, which must end as the undisturbed one."""
    result = bench_kill.killed(folder, kill)
    assert bench_kill.judged(folder, result, undisturbed.outcome) == [], (result, kill)
    return result


@pytest.mark.parametrize("stage", STAGES)
def test_a_driver_that_is_killed_in_a_stage_costs_no_byte(
    stage: str, fault_seed: int, root: str, undisturbed: Undisturbed
) -> None:
    draw = random.Random(f"{stage} {fault_seed}")
    first, last = draw.choice(STAGES[stage])
    length = undisturbed.written[last] - undisturbed.written.get(first, 0.0)
    folder = bench_kill.made(root, f"{stage}{fault_seed}", "xgboost", rows=ROWS, trials=TRIALS)
    kill = Kill("driver", first, draw.random() * length)
    print(kill)
    result = resumed(folder, kill, undisturbed)
    assert result["reached"]


def test_a_worker_that_is_killed_in_a_trial_costs_no_byte(fault_seed: int, root: str, undisturbed: Undisturbed) -> None:
    draw = random.Random(f"worker {fault_seed}")
    folder = bench_kill.made(root, f"worker{fault_seed}", "xgboost", rows=ROWS, trials=TRIALS)
    after = bench_kill.JOURNAL.format(draw.choice(["digest-encoder", "trial-0000"]))
    kill = Kill("worker", after, draw.random() * WORKER_S, draw.random())
    print(kill)
    result = resumed(folder, kill, undisturbed)
    assert result["reached"]
    assert result.get("exit_of_killed", 0) == 0
