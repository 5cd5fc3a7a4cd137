"""The mailbox between a slot and its workers, on threads: one step at a time, one answer of each worker."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from ray_pipeline.tuning import mailbox as module
from ray_pipeline.tuning.mailbox import Mailbox, call
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep

STEP = TrialStep(trial=0, family="xgboost", params={}, seed=0, rounds=10)
NEXT = TrialStep(trial=1, family="xgboost", params={}, seed=1, rounds=10)
TIMEOUT_S = 30.0
"""A limit against hanging; each of these calls returns as soon as it can."""


def state(rank: int) -> TrialState:
    return TrialState(rounds=10, rows=100 + rank)


@pytest.fixture
def background() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a call in another thread, as the slot and each worker have their own."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def test_every_worker_gets_the_step_and_the_slot_gets_every_answer(background: Callable[..., Future[Any]]) -> None:
    mailbox = Mailbox(2)
    received = [background(mailbox.receive, rank, 0) for rank in range(2)]
    number = mailbox.post(STEP)
    assert [one.result(TIMEOUT_S) for one in received] == [(number, STEP)] * 2
    answers = background(mailbox.wait, number)
    for rank in range(2):
        mailbox.reply(rank, number, state(rank))
    assert answers.result(TIMEOUT_S) == {0: state(0), 1: state(1)}
    assert mailbox.present() == {0, 1}


def test_a_worker_that_has_answered_waits_for_the_next_step(background: Callable[..., Future[Any]]) -> None:
    mailbox = Mailbox(1)
    first = mailbox.post(STEP)
    assert mailbox.receive(0, 0) == (first, STEP)
    mailbox.reply(0, first, state(0))
    waiting = background(mailbox.receive, 0, first)
    assert not waiting.done()
    second = mailbox.post(NEXT)
    assert second == first + 1 and waiting.result(TIMEOUT_S) == (second, NEXT)
    assert mailbox.answers == {}, "the answers to the step before are gone"


def test_a_call_that_finds_nothing_comes_back_in_time_to_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    mailbox = Mailbox(2)
    assert mailbox.receive(0, 0) == (0, None)
    assert mailbox.present() == {0}, "worker 1 has not come"
    number = mailbox.post(STEP)
    mailbox.reply(0, number, state(0))
    assert mailbox.wait(number) == {0: state(0)}, "worker 1 has not answered"
    assert mailbox.receive(0, number) == (number, None)


def test_a_late_answer_to_an_older_step_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    mailbox = Mailbox(1)
    old = mailbox.post(STEP)
    new = mailbox.post(NEXT)
    mailbox.reply(0, old, state(0))
    assert mailbox.wait(new) == {}


def test_when_a_worker_dies_all_must_do_the_step_together_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    mailbox = Mailbox(2)
    number = mailbox.post(STEP)
    assert mailbox.receive(0, 0) == mailbox.receive(1, 0) == (number, STEP)
    mailbox.reply(0, number, state(0))  # worker 1 dies before it answers, and Train starts both anew
    assert mailbox.receive(0, 0) == mailbox.receive(1, 0) == (number, STEP)
    assert mailbox.wait(number) == {}, "the answer of the old group does not count"
    for rank in range(2):
        mailbox.reply(rank, number, state(rank))
    assert mailbox.wait(number) == {0: state(0), 1: state(1)}
    assert mailbox.receive(0, 0) == (0, None), "a step that all have answered is not done again"


def test_closing_sends_every_worker_home(background: Callable[..., Future[Any]]) -> None:
    mailbox = Mailbox(2)
    waiting = [background(mailbox.receive, rank, 0) for rank in range(2)]
    mailbox.close()
    assert [one.result(TIMEOUT_S) for one in waiting] == [None, None]
    assert mailbox.receive(0, 0) is None


def test_an_object_is_called_as_an_actor_is() -> None:
    mailbox = Mailbox(1)
    assert call(mailbox, "post", STEP) == 1
    assert call(mailbox, "receive", 0, 0) == (1, STEP)
