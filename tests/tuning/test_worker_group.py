"""The workers of a slot, with threads in the place of processes: every row is trained on, and no loss is silent."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.tuning import mailbox as mailbox_module
from ray_pipeline.tuning import trainable, worker_group
from ray_pipeline.tuning.mailbox import Mailbox
from ray_pipeline.tuning.trainable import SlotTrainable
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep
from ray_pipeline.tuning.worker_group import WorkerGroup, run_worker

ROWS = 100
Answer = Callable[[int, TrialStep], TrialState]
"""What a worker replies, by its rank."""


def step(**more: Any) -> TrialStep:
    return TrialStep(trial=0, family="xgboost", params={}, seed=0, rounds=10, **more)


def half(rank: int, step: TrialStep) -> TrialState:
    return TrialState(rounds=step.rounds, best=0.5 + rank, rows=ROWS // 2)


class Threads(WorkerGroup):
    """A group whose workers are threads of this process."""

    def __init__(self, answer: Answer, *, workers: int = 2, absent: tuple[int, ...] = ()) -> None:
        self.layout = Layout(slots=1, workers=workers, threads=1, gpus=0.0, fit_threads=1)
        self.error, self.rows, self.mailbox = None, ROWS, Mailbox(workers)
        self.thread = threading.Thread(target=self._run_threads, args=(answer, absent), daemon=True)
        self.thread.start()

    def _run_threads(self, answer: Answer, absent: tuple[int, ...]) -> None:
        def work(rank: int) -> None:
            number = 0
            while (received := self.mailbox.receive(rank, number)) is not None:
                number, asked = received
                if asked is not None and (state := answer(rank, asked)) is not None:
                    self.mailbox.reply(rank, number, state)

        ranks = [rank for rank in range(self.layout.workers) if rank not in absent]
        threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in ranks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for somebody who does not come waits for a moment only."""
    monkeypatch.setattr(mailbox_module, "WAIT_S", 0.02)
    monkeypatch.setattr(worker_group, "STRAGGLER_S", 0.1)
    monkeypatch.setattr(worker_group, "START_TIMEOUT_S", 0.1)


def test_the_answer_of_the_first_worker_counts_once_all_have_trained_on_every_row() -> None:
    group = Threads(half)
    assert group.run_step(step()) == TrialState(rounds=10, best=0.5, rows=ROWS // 2)
    assert group.run_step(step()).rounds == 10
    group.close()
    assert not group.thread.is_alive()


def test_a_row_that_nobody_trained_on_or_two_did_is_an_error() -> None:
    for rows in (49, 51):
        group = Threads(lambda rank, asked, rows=rows: TrialState(rows=rows))
        with pytest.raises(RuntimeError, match=f"2 workers trained on {2 * rows} rows, but there are 100"):
            group.run_step(step())
        group.close()


def test_a_rung_on_a_share_of_the_rows_is_not_held_against_all_of_them() -> None:
    group = Threads(lambda rank, asked: TrialState(rows=10))
    assert group.run_step(step(every=5)).rows == 10
    group.close()


def test_a_failure_that_all_workers_tell_is_the_answer() -> None:
    group = Threads(lambda rank, asked: TrialState(failed=f"worker {rank}: no"))
    assert group.run_step(step()).failed in ("worker 0: no", "worker 1: no")
    group.close()


def test_a_failure_of_one_worker_ends_the_step_while_the_other_waits_for_it() -> None:
    held = threading.Event()

    def answer(rank: int, asked: TrialStep) -> TrialState:
        if rank == 1:
            return TrialState(failed="XGBoostError: no")
        held.wait(30)  # in a collective, which the other has left
        return TrialState()

    group = Threads(answer)
    with pytest.raises(RuntimeError, match="XGBoostError: no"):
        group.run_step(step())
    held.set()
    group.close()


def test_a_slot_ends_the_workers_of_a_failed_step_and_does_the_next_trial_with_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    killed, held = list[str](), threading.Event()

    def answer(rank: int, asked: TrialStep) -> TrialState:
        if asked.trial == 1:
            return half(rank, asked)
        if rank == 1:
            return TrialState(failed="XGBoostError: no")
        held.wait(30)
        return TrialState()

    def kill(actor: str) -> None:
        killed.append(actor)
        held.set()

    groups = list[Threads]()

    def group() -> Threads:
        groups.append(Threads(answer))
        groups[-1].mailbox.actors = {0: "worker 0", 1: "worker 1"}
        return groups[-1]

    monkeypatch.setattr(ray, "kill", kill)
    monkeypatch.setattr(trainable, "WorkerGroup", group)
    slot = SlotTrainable.__new__(SlotTrainable)
    slot.group, slot.group_args = group(), ()
    config = {
        "family": "xgboost",
        "params": {},
        "seed": 0,
        "timed": False,
        "keep_scores": False,
        "rungs": [(10, 1)],
        "rung": 0,
        "before": [],
        "share": 0.0,
        "refit_share": 0.0,
        **dict.fromkeys(("seconds", "seconds_with_refit", "trial_seconds"), 60.0),
    }
    slot.reset_config(config | {"trial": 0})
    failed = slot.step()
    assert failed["trial_state"][0].failed == "XGBoostError: no" and failed["done"]
    groups[0].thread.join(30)
    assert killed == ["worker 0"] and not groups[0].thread.is_alive(), "its workers keep no CPU"
    slot.reset_config(config | {"trial": 1})
    assert slot.step()["trial_state"] == [half(0, step())]
    slot.cleanup()
    assert len(groups) == 2 and killed == ["worker 0"]


def test_workers_that_have_done_no_step_are_not_killed() -> None:
    group = Threads(half)
    group.mailbox.actors = {0: "worker 0", 1: "worker 1"}
    group.close()
    assert group.mailbox.closed


def test_a_failure_is_no_answer_where_another_worker_has_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_group, "START_TIMEOUT_S", 30.0)
    ended = threading.Event()

    def answer(rank: int, asked: TrialStep) -> TrialState:
        if rank == 1:
            ended.wait(30)  # dead
        return TrialState(failed="XGBoostError: Poll error")

    group = Threads(answer)

    def begin_again() -> bool:
        """What Train does after a death: new workers, which have done no step yet, do this one together."""
        received = [group.mailbox.receive(rank, 0) for rank in (0, 1)]
        for rank, (number, asked) in enumerate(received):
            group.mailbox.reply(rank, number, half(rank, asked))
        return True

    monkeypatch.setattr(group, "_has_dead_worker", begin_again)
    assert group.run_step(step()).best == 0.5
    ended.set()
    group.close()


def test_workers_that_do_not_start_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 0.5})
    group = Threads(half, workers=3, absent=(0, 2))
    with pytest.raises(ResourceError) as refused:
        group.run_step(step())
    (problem,) = refused.value.problems
    assert problem.stage == "search" and refused.value.exit_code == 4
    assert problem.found == (
        "worker 0, worker 2 of 3 did not start within 0.1 s; each needs 1 CPU, and the cluster has 0.5 CPU free"
    )
    group.close()


def test_a_group_that_died_too_often_says_why() -> None:
    group = Threads(half, absent=(0, 1))  # the thread ends at once
    group.thread.join()
    group.error = RuntimeError("Traceback ...\nOutOfMemoryError: 2 workers were killed")
    with pytest.raises(ResourceError, match="the 2 workers of a trial failed 3 times: OutOfMemoryError"):
        group.run_step(step())


def test_a_worker_does_each_step_once_and_keeps_what_it_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray.train

    made, done = list[dict[str, Any]](), list[TrialStep]()

    class Worker:
        def __init__(self, **data: Any) -> None:
            made.append(data)

        def run_step(self, asked: TrialStep) -> TrialState:
            done.append(asked)
            return TrialState(rounds=asked.rounds)

    class Context:
        def get_world_rank(self) -> int:
            return 1

        def get_world_size(self) -> int:
            return 2

    class Process:
        current_actor = "worker 1"

    monkeypatch.setattr(worker_group, "TrialWorker", Worker)
    monkeypatch.setattr(ray.train, "get_context", Context)
    monkeypatch.setattr(ray, "get_runtime_context", Process)
    mailbox, steps = Mailbox(2), [step(), step(every=2), step(last=False)]
    config = {"mailbox": mailbox, "data": {"metric": "auc"}}
    thread = threading.Thread(target=run_worker, args=(config,), daemon=True)
    thread.start()
    for asked in steps:
        number = mailbox.post(asked)
        mailbox.reply(0, number, TrialState())
        while len(answers := mailbox.wait(number)) < 2:
            pass
        assert answers[1] == TrialState(rounds=10)
    mailbox.close()
    thread.join(30)
    assert not thread.is_alive()
    assert mailbox.actors == {1: "worker 1"}
    assert done == steps and made == [{"metric": "auc", "rank": 1, "world": 2}]
