"""The final fit on real workers: those that are killed, and a run that was cut off, go on from the state that was kept,
to the same bytes."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from encoded_fixture import SPEC, context, encoded

from ray_pipeline.errors import ResourceError
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.tuning import refit as stage
from ray_pipeline.tuning.refit import fit
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.search import Leaderboard

pytestmark = pytest.mark.ray
ROUNDS = 900


def fitted(folder: RunFolder, workers: int = 1) -> bytes:
    """The final model of a trial that nobody ran."""
    spec = Spec.from_text(SPEC, file="toy.yaml", folder=Path())
    data = encoded(3_000)
    params = {
        **dict(spec.model["xgboost"].space(context(rows=1_000))),
        "max_depth": 4,
        "learning_rate": 0.01,
        "subsample": 0.8,
        "colsample_bytree": 0.7,
        "min_child_weight": 2.0,
        "reg_lambda": 1.0,
    }
    rounds = round(ROUNDS * data.rows["train"] / (data.rows["train"] + data.rows["validation"]))
    best = TrialResult(0, "xgboost", params, (), 0.8, rounds, 1.0, "completed")
    board = Leaderboard((best,), best, folder.path / "trials", (best,))
    return (fit(spec, board, data, context(), Layout(1, workers, 1, 0.0, 1), folder) / "model.ubj").read_bytes()


def kill_after_the_first_state(folder: RunFolder, times: int) -> threading.Thread:
    """Kills the worker of this process's own Ray, so many times, whenever it has kept another state."""

    def work() -> None:
        for _ in range(times):
            seen, states = time.time(), []
            while not states:
                time.sleep(0.01)
                states = [path for path in (folder.path / stage.KEPT).glob("*.state") if path.stat().st_mtime > seen]
            while not (pids := workers()):
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def workers() -> list[int]:
    parents, found = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if (path / "cmdline").read_bytes().startswith(b"ray::_Worker.train"):
                found.append(int(path.name))
        except OSError:
            continue
    return [
        pid for pid in found if parents.get(parents.get(pid, 0)) == os.getpid()
    ]  # a child of the raylet that this process started


@pytest.fixture(scope="module")
def undisturbed(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fitted(RunFolder.create(tmp_path_factory.mktemp("undisturbed"), "toy", "0" * 64))


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "KEEP_S", 0.0)


def test_a_worker_that_is_killed_goes_on_from_its_state_to_the_same_bytes(undisturbed: bytes, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "toy", "0" * 64)
    killer = kill_after_the_first_state(folder, stage.RESTARTS)
    assert fitted(folder) == undisturbed
    assert not killer.is_alive()
    assert not (folder.path / stage.KEPT).exists()


def test_a_fit_that_was_cut_off_goes_on_from_its_state_to_the_same_bytes(
    undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path, "toy", "0" * 64)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "RESTARTS", 0)
        kill_after_the_first_state(folder, 1)
        with pytest.raises(ResourceError, match="the final fit, which asked for 1 x \\(1 CPU\\), failed"):
            fitted(folder)
    (state,) = (folder.path / stage.KEPT).glob("*.state")
    kept = state.read_bytes()
    state.write_bytes(b"not a booster")
    with pytest.raises(ResourceError, match="failed"):  # so it is from there that a fit goes on
        fitted(folder)
    state.write_bytes(kept)
    assert fitted(folder) == undisturbed


def test_a_fit_on_two_workers_keeps_the_model_of_the_first(ray_local: None, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "toy", "0" * 64)
    first = fitted(folder, workers=2)
    assert fitted(folder) == first  # known to the journal: not done again
