"""The final fit on real workers: those that are killed, and a run that was cut off, go on from the state that was kept,
to the same bytes."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from encoded_fixture import SPEC, context, encoded, with_profile
from run_fixture import Told, run_at

from ray_pipeline.errors import ResourceError
from ray_pipeline.runs.context import Run
from ray_pipeline.spec import Spec
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.tuning import final_fit
from ray_pipeline.tuning.final_fit import fit_winner
from ray_pipeline.tuning.fit_choice import FitChoice
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.sampler import TrialResult

pytestmark = pytest.mark.ray
ROUNDS = 900
LEAF = {
    "max_depth": 4,
    "learning_rate": 0.01,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
    "min_child_weight": 2.0,
    "reg_lambda": 1.0,
}


def run_in(folder: Path, workers: int = 1) -> Run:
    return run_at(folder, Spec.from_text(SPEC, file="toy.yaml", folder=Path()), workers=workers)


def fitted(run: Run, rounds: int = ROUNDS) -> bytes:
    """The final model of a trial that nobody ran."""
    data = with_profile(encoded(3_000))
    params = {**dict(run.spec.model["xgboost"].space(context(rows=1_000))), **LEAF}
    rows = data.rows.rows
    best = TrialResult(
        trial=0,
        family="xgboost",
        params=params,
        rungs=(),
        metric=0.8,
        rounds=round(rounds * rows["train"] / (rows["train"] + rows["validation"])),
        seconds=1.0,
        status="completed",
    )
    board = Leaderboard(results=(best,), best=best, finalists=(best,), models=run.folder.path / "trials")
    choice = FitChoice(on="train+validation", why="the spec says so")
    return fit_winner(board, data, choice, run).read_bytes()


def kill_after_a_state(run: Run, times: int, seed: int) -> threading.Thread:
    """Kills the worker of this process's own Ray, so many times, a while after it has kept another state.

    The seed draws how many states it keeps before, and how long after the kill comes.
    """
    draw = random.Random(f"fit {seed}")

    def work() -> None:
        for _ in range(times):
            for _ in range(draw.randint(1, 4)):
                seen, found = time.time(), []
                while not found:
                    time.sleep(0.005)
                    found = [path for path in states(run) if path.stat().st_mtime > seen]
            time.sleep(draw.random() * 0.03)
            while not (pids := workers()):
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def states(run: Run) -> list[Path]:
    return list((run.folder.path / ".fit").glob("*.state"))


def workers() -> list[int]:
    parents, found = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if (path / "cmdline").read_bytes().startswith(b"ray::_train_here"):
                found.append(int(path.name))
        except OSError:
            continue
    return [
        pid for pid in found if parents.get(parents.get(pid, 0)) == os.getpid()
    ]  # a child of the raylet that this process started


@pytest.fixture(scope="module")
def undisturbed(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fitted(run_in(tmp_path_factory.mktemp("undisturbed")))


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_fit, "SAVE_EVERY_S", 0.0)


def test_a_worker_that_is_killed_goes_on_from_its_state_to_the_same_bytes(
    undisturbed: bytes, tmp_path: Path, fault_seed: int
) -> None:
    run = run_in(tmp_path)
    killer = kill_after_a_state(run, final_fit.RESTARTS, fault_seed)
    assert fitted(run) == undisturbed
    assert not killer.is_alive()
    assert not (run.folder.path / ".fit").exists()


def test_a_fit_that_was_cut_off_goes_on_from_its_state_to_the_same_bytes(
    undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    run = run_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(final_fit, "RESTARTS", 0)
        kill_after_a_state(run, 1, fault_seed)
        with pytest.raises(ResourceError, match="the final fit, which asked for 1 x \\(1 CPU\\), failed"):
            fitted(run)
    (state,) = states(run)
    kept = state.read_bytes()
    # So it is from there that a fit goes on: another state is not taken, and with a damaged one it begins anew.
    BlobStore(str(state.parent)).write_sealed(state.name, b"not a booster")
    with pytest.raises(ResourceError, match="failed"):
        fitted(run)
    state.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    run.progress = told = Told()
    assert fitted(run) == undisturbed
    assert [note for note in told.notes if note.endswith(str(state))] != []


@pytest.mark.slow
def test_a_fit_on_two_workers_keeps_the_model_of_the_first(ray_local: None, tmp_path: Path) -> None:
    run = run_in(tmp_path, workers=2)
    first = fitted(run, rounds=120)
    assert fitted(run, rounds=120) == first  # known to the journal: not done again
