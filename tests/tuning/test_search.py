"""A search on real slots: the same answer on one slot and many, on one worker and many; what dies is begun again a rung
back."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_fixture import SPEC, context, encoded

from ray_pipeline.components.choice import find
from ray_pipeline.encoded_block import column, views
from ray_pipeline.errors import ResourceError
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime import watchdog as watch
from ray_pipeline.runtime.layout import Layout, compute_layout
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.search import Leaderboard, search

pytestmark = pytest.mark.ray
ROWS = 3_000


def spec_of(**replaced: str) -> Spec:
    text = SPEC
    for change in replaced.values():
        old, new = change.split(" => ")
        assert old in text
        text = text.replace(old, new)
    return Spec.from_text(text, file="toy.yaml", folder=Path())


def searched(
    folder: Path, spec: Spec, layout: Layout, data: Any = None, tell: Any = None
) -> tuple[Leaderboard, RunFolder]:
    run = RunFolder.create(folder, "toy", "0" * 64)
    return search(spec, data or encoded(ROWS), context(layout.threads), layout, run, tell or (lambda *_: None)), run


def decisions(board: Leaderboard) -> list[Any]:
    return [(o.trial, dict(o.params), o.rungs, o.metric, o.rounds, o.status) for o in board.results]


def model_bytes(board: Leaderboard) -> bytes:
    (file,) = board.model_folder(board.best).iterdir()
    return file.read_bytes()


def auc_again(board: Leaderboard, data: Any) -> float:
    rows = list(views(data.fetch(), "trees", "validation"))
    score = np.concatenate([board.scorer()(row.matrix) for row in rows])
    return float(find("metrics", "auc")()(column(rows, "label"), score.astype(np.float64), column(rows, "weight")))


@pytest.fixture(scope="module")
def alone(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    return searched(tmp_path_factory.mktemp("alone"), spec_of(), Layout(1, 1, 1, 0.0, 2))[0]


def test_one_slot_and_two_give_the_same_trials_and_the_same_bytes(alone: Leaderboard, tmp_path: Path) -> None:
    both, run = searched(tmp_path, spec_of(), Layout(2, 1, 1, 0.0, 2))
    assert decisions(both) == decisions(alone) and model_bytes(both) == model_bytes(alone)
    assert [path.name for path in (run.path / "trials").iterdir()] == [f"{both.best.trial:04d}"]
    assert auc_again(both, encoded(ROWS)) == pytest.approx(both.best.metric, abs=1e-9)


def test_a_free_search_goes_on_from_its_journal_without_running_a_finished_trial_again(
    ray_local: None, tmp_path: Path
) -> None:
    spec, ran = spec_of(free="seed: 3 => seed: 3, deterministic: false"), list[int]()
    first, run = searched(tmp_path, spec, Layout(2, 1, 1, 0.0, 2))
    lost = next(o.trial for o in first.results if o.trial not in (0, first.best.trial))
    (run.path / "journal" / f"trial-{lost:04d}.json").unlink()
    again = search(spec, encoded(ROWS), context(1), Layout(2, 1, 1, 0.0, 2), run, lambda done, *_: ran.append(done))
    assert len(ran) == 1 and len(again.results) == len(first.results)
    assert [one for one in decisions(again) if one[0] != lost] == [one for one in decisions(first) if one[0] != lost]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_slot_that_dies_or_stands_still_costs_its_trial_a_rung_and_changes_no_byte(
    sent: signal.Signals, alone: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "STOPPED_S", 2.0)
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.5)
    killed: list[int] = []

    def kill(done: int, total: int, best: float | None) -> None:
        if done == 2 and not killed:
            killed.append(slots()[0])
            os.kill(killed[0], sent)

    with watch.watchdog():
        again, _ = searched(tmp_path, spec_of(), Layout(1, 1, 1, 0.0, 2), tell=kill)
    assert killed and not Path(f"/proc/{killed[0]}").exists()
    assert decisions(again) == decisions(alone) and model_bytes(again) == model_bytes(alone)


def slots() -> list[int]:
    """Process ids of this session's living slots, which Ray names by what they run."""
    parent, name = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            said = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            pid = int(status.parent.name)
            parent[pid], name[pid] = int(said["PPid"]), (status.parent / "cmdline").read_bytes().decode()

    def is_ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parent and is_ours(parent[pid]))

    return [pid for pid, title in name.items() if title.startswith("ray::Slot") and is_ours(pid)]


def test_two_workers_train_on_every_row_and_agree_with_one(alone: Leaderboard, tmp_path: Path) -> None:
    data = encoded(ROWS)
    both, _ = searched(tmp_path, spec_of(), Layout(1, 2, 1, 0.0, 2), data)
    assert [o.status for o in both.results].count("failed") == 0
    assert auc_again(both, data) == pytest.approx(both.best.metric, abs=1e-7)
    assert both.results[0].params == alone.results[0].params
    assert both.best.metric == pytest.approx(
        alone.best.metric, abs=0.02
    )  # subsampling draws other rows, the rest is the same


def deadlock_shape(folder: Path) -> Leaderboard:
    """2 CPUs and 2 trials of 2 workers each: started at once, each trial would hold one CPU and wait for another for
    ever."""
    layout = compute_layout(Where.model_validate({"workers_per_trial": 2}), 2, 0, 2)
    assert (layout.slots, layout.workers) == (1, 2)
    board, _ = searched(folder, spec_of(trials="trials: 6 => trials: 2"), layout, encoded(600))
    assert [o.status for o in board.results] == ["completed", "completed"]
    return board


def test_two_trials_of_two_workers_on_two_cpus_do_not_wait_for_each_other(ray_local: None, tmp_path: Path) -> None:
    boards = [deadlock_shape(tmp_path) for _ in range(3)]
    assert all(decisions(board) == decisions(boards[0]) for board in boards)
    with pytest.raises(ResourceError, match="2 trials at once ask for 2 x 2 = 4 CPUs, but there are 2"):
        compute_layout(Where.model_validate({"workers_per_trial": 2, "concurrent_trials": 2}), 2, 0, 2)


@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_fifty_times_two_trials_of_two_workers_on_two_cpus(ray_local: None, tmp_path: Path) -> None:
    boards = [deadlock_shape(tmp_path) for _ in range(50)]
    assert all(decisions(board) == decisions(boards[0]) for board in boards)
