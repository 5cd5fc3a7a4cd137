"""A search on real slots: the same answer on one slot and many, on one worker and many; what dies is begun again a rung
back."""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from encoded_fixture import SPEC, encoded, with_profile
from run_fixture import Told, run_at

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.encoded_block import column
from ray_pipeline.errors import NoTrialFinished, ResourceError
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runs.context import Run
from ray_pipeline.runtime import watchdog
from ray_pipeline.runtime.layout import Node, compute_layout
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.search import search

pytestmark = pytest.mark.ray
ROWS = 3_000


def spec_of(**replaced: str) -> Spec:
    text = SPEC
    for change in replaced.values():
        old, new = change.split(" => ")
        assert old in text
        text = text.replace(old, new)
    return Spec.from_text(text, file="toy.yaml", folder=Path())


def searched(run: Run, data: Encoded | None = None) -> Leaderboard:
    return search(data or with_profile(encoded(ROWS)), run.spec, run)


def decisions(board: Leaderboard) -> list[Any]:
    return [(o.trial, dict(o.params), o.rungs, o.metric, o.rounds, o.status) for o in board.results]


def model_bytes(board: Leaderboard) -> bytes:
    (file,) = board.model_folder(board.best).iterdir()
    return file.read_bytes()


def auc_again(board: Leaderboard, data: Encoded) -> float:
    rows = data.rows.part("validation", "trees")
    score = np.concatenate([board.scorer()(row.matrix) for row in rows])
    return float(metric_of("auc")(column(rows, "label"), score.astype(np.float64), column(rows, "weight")))


@pytest.fixture(scope="module")
def alone(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    return searched(run_at(tmp_path_factory.mktemp("alone"), spec_of()))


def test_one_slot_and_two_give_the_same_trials_and_the_same_bytes(alone: Leaderboard, tmp_path: Path) -> None:
    data, run = with_profile(encoded(ROWS)), run_at(tmp_path, spec_of(), slots=2)
    both = searched(run, data)
    assert decisions(both) == decisions(alone) and model_bytes(both) == model_bytes(alone)
    assert [path.name for path in (run.folder.path / "trials").iterdir()] == [f"{both.best.trial:04d}"]
    assert auc_again(both, data) == pytest.approx(both.best.metric, abs=1e-9)
    assert both.baselines == alone.baselines and [one.name for one in both.baselines] == ["constant", "linear"]


def test_no_slot_that_starts_is_given_up_for_one_that_is_idle(
    ray_local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager

    started, add_actor = list[Any](), RayActorManager.add_actor
    monkeypatch.setattr(
        RayActorManager, "add_actor", lambda manager, **actor: started.append(actor) or add_actor(manager, **actor)
    )
    spec = spec_of(more="trials: 6 => trials: 24", quick="num_boost_round: 40 => num_boost_round: 2")
    board = searched(run_at(tmp_path, spec, slots=2), with_profile(encoded(300)))
    assert len(board.results) == 24 and len(started) == 2


def test_tune_prints_no_trial_and_remembers_none(
    ray_local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.tune.progress_reporter import TrialProgressCallback

    made, begin = list[Any](), TrialProgressCallback.__init__
    monkeypatch.setattr(
        TrialProgressCallback,
        "__init__",
        lambda self, *given, **named: made.append(self) or begin(self, *given, **named),
    )
    monkeypatch.delitem(sys.modules, "ray.air.integrations.mlflow", raising=False)
    searched(run_at(tmp_path, spec_of()), with_profile(encoded(300)))
    (callback,) = made
    assert not callback._completed_trials and not callback._last_print
    assert "ray.air.integrations.mlflow" not in sys.modules  # Tune imports it, and MLflow, for callbacks of a run


def test_a_free_search_goes_on_from_its_journal_without_running_a_finished_trial_again(
    ray_local: None, tmp_path: Path
) -> None:
    spec, told = spec_of(free="seed: 3 => seed: 3, deterministic: false"), Told()
    run = run_at(tmp_path, spec, slots=2)
    first = searched(run)
    lost = next(o.trial for o in first.results if o.trial not in (0, first.best.trial))
    (run.folder.path / "journal" / f"trial-{lost:04d}.json").unlink()
    again = searched(run_at(tmp_path, spec, slots=2, folder=run.folder, progress=told))
    assert len(told.trials) == 1 and len(again.results) == len(first.results)
    assert [one for one in decisions(again) if one[0] != lost] == [one for one in decisions(first) if one[0] != lost]


class Killer(Told):
    """Sends a signal to a slot a while after some trials have finished: the seed draws how many, and how long after."""

    def __init__(self, sent: signal.Signals, seed: int) -> None:
        super().__init__()
        draw = random.Random(f"slot {seed}")
        self.sent, self.after, self.linger_s = sent, draw.randint(1, 4), draw.random() * 0.1
        self.killed: list[int] = []

    def trial(self, done: int, *more: Any) -> None:  # type: ignore[override]
        if done >= self.after and not self.killed:
            time.sleep(self.linger_s)
            self.killed.append(slots()[0])
            os.kill(self.killed[0], self.sent)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_slot_that_dies_or_stands_still_costs_its_trial_a_rung_and_changes_no_byte(
    sent: signal.Signals, alone: Leaderboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    monkeypatch.setattr(watchdog, "STOPPED_S", 2.0)
    monkeypatch.setattr(watchdog, "LOOK_EVERY_S", 0.5)
    killer = Killer(sent, fault_seed)
    with watchdog.watchdog(600):
        again = searched(run_at(tmp_path, spec_of(), progress=killer))
    assert killer.killed and not Path(f"/proc/{killer.killed[0]}").exists()
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


@pytest.fixture(scope="module")
def both_workers(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Leaderboard, Encoded]:
    data = with_profile(encoded(ROWS))
    return searched(run_at(tmp_path_factory.mktemp("both"), spec_of(), workers=2), data), data


@pytest.mark.slow
def test_two_workers_train_on_every_row_and_agree_with_one(
    both_workers: tuple[Leaderboard, Encoded], alone: Leaderboard
) -> None:
    both, data = both_workers
    assert [o.status for o in both.results].count("failed") == 0
    assert auc_again(both, data) == pytest.approx(both.best.metric, abs=1e-7)
    assert both.results[0].params == alone.results[0].params
    # Subsampling draws other rows, the rest is the same.
    assert both.best.metric == pytest.approx(alone.best.metric, abs=0.02)


def deadlock_shape(folder: Path) -> Leaderboard:
    """2 CPUs and 2 trials of 2 workers each: started at once, each trial would hold one CPU and wait for another for
    ever."""
    layout = compute_layout(Where.model_validate({"workers_per_trial": 2}), [Node(2)], 2)
    assert (layout.slots, layout.workers) == (1, 2)
    run = run_at(folder, spec_of(trials="trials: 6 => trials: 2"), slots=layout.slots, workers=layout.workers)
    board = searched(run)
    assert [o.status for o in board.results] == ["completed", "completed"]
    return board


@pytest.mark.slow
def test_two_trials_of_two_workers_on_two_cpus_do_not_wait_for_each_other(
    both_workers: tuple[Leaderboard, Encoded], tmp_path: Path
) -> None:
    # The first two trials know no others: the longer search is the same search once more.
    assert decisions(deadlock_shape(tmp_path)) == decisions(both_workers[0])[:2]
    with pytest.raises(ResourceError, match="2 trials at once ask for 2 x 2 = 4 CPUs, but there are 2"):
        compute_layout(Where.model_validate({"workers_per_trial": 2, "concurrent_trials": 2}), [Node(2)], 2)


@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_fifty_times_two_trials_of_two_workers_on_two_cpus(ray_local: None, tmp_path: Path) -> None:
    boards = [deadlock_shape(tmp_path) for _ in range(50)]
    assert all(decisions(board) == decisions(boards[0]) for board in boards)


def test_a_search_in_which_every_trial_fails_names_the_first_cause(ray_local: None, tmp_path: Path) -> None:
    import ray

    rows = encoded(300, num_blocks=1)
    (block,) = ray.get(list(rows.blocks))
    label = block["label"].to_numpy().copy()
    label[0] = 2.0  # in train; a binary objective takes 0 and 1
    broken = block.set_column(block.column_names.index("label"), "label", pa.array(label))
    data = with_profile(replace(rows, blocks=(ray.put(broken),)))
    run = run_at(tmp_path, spec_of(trials="trials: 6 => trials: 2"))
    with pytest.raises(NoTrialFinished, match=r"0 of 2 trials finished: 2 failed, 0 were stopped") as refused:
        searched(run, data)
    assert refused.value.exit_code == 8 and "label must be in (0, 1) for logistic" in refused.value.problems[0].fix
    assert run.journal.steps("trial-") == ["trial-0000", "trial-0001"]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("linear", "2 workers per trial, but linear trains on one"),
        ("[xgboost, linear]", "2 workers per trial, but linear trains on one"),
        ("[xgboost, mlp]", "2 workers per trial, but xgboost, mlp do not train by the same collective"),
    ],
)
def test_families_that_cannot_train_on_several_workers_together_are_refused_before_a_slot_starts(
    model: str, found: str, tmp_path: Path
) -> None:
    spec = Spec.from_text(SPEC, [f"model={model}"], file="toy.yaml", folder=Path())
    with pytest.raises(ResourceError) as refused:
        searched(run_at(tmp_path, spec, workers=2), cast(Encoded, None))
    (problem,) = refused.value.problems
    assert (problem.key, problem.found) == ("workers_per_trial", found)
