"""The clock of a timed search: trials end early enough for the refit."""

import math
import time
from pathlib import Path

import pytest
from encoded_fixture import SPEC

from ray_pipeline.components.models._base import Scores, TrainingState
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.time_budget import BACKTESTS, START_S, TimeBudget, refit_share, seconds_of_step, trained_s
from ray_pipeline.tuning.trial_worker import TrialWorker
from ray_pipeline.values import Part


def result(seconds: float, rounds: int, last: int) -> TrialResult:
    """A completed trial whose best round is not its last."""
    return TrialResult(
        trial=0,
        family="xgboost",
        params={},
        rungs=((last, 0.5),),
        metric=0.5,
        rounds=rounds,
        seconds=seconds,
        status="completed",
        why="",
    )


def layout(threads: int, fit_threads: int) -> Layout:
    return Layout(slots=2, workers=1, threads=threads, memory=1e9, gpus=0, fit_threads=fit_threads)


def test_a_search_without_a_limit_has_all_the_time() -> None:
    budget = TimeBudget(limit=math.inf, refit_share=1.0)
    assert budget.left == math.inf and budget.for_trials(result(10, 5, 5)) == math.inf
    assert seconds_of_step(math.inf, math.inf, 1.0, 5.0) == math.inf


def test_of_a_short_time_most_is_for_trials() -> None:
    assert TimeBudget(limit=5.0, refit_share=1.0).left == pytest.approx(4.4, abs=0.1)


def test_the_refit_of_the_best_trial_up_to_its_best_round_is_kept_free() -> None:
    budget = TimeBudget(limit=100.0, refit_share=0.5, began=time.monotonic() - 30)
    assert trained_s(result(40.0, 50, 100)) == 20.0
    assert budget.for_trials(None) == pytest.approx(70.0 - START_S, abs=0.5)
    assert budget.for_trials(result(40.0, 50, 100)) == pytest.approx(60.0 - START_S, abs=0.5)


def test_a_trial_keeps_time_for_its_own_refit_when_it_becomes_the_longest() -> None:
    spent = 0.0
    for _ in range(3):  # from rung to rung, the clock of both goes on
        step = seconds_of_step(60.0 - spent, 60.0 - spent, 0.5, spent)
        spent += min(step, 15.0)
    assert spent + 0.5 * spent == pytest.approx(60.0)


@pytest.mark.parametrize(("ratio", "threads", "share"), [(1.0, 1, 1.0), (1.2, 1, 1.44), (1.0, 2, 0.574)])
def test_a_refit_takes_longer_with_more_rows_and_shorter_with_more_threads(
    ratio: float, threads: int, share: float
) -> None:
    rows: dict[Part, int] = {"train": 10_000, "validation": round(10_000 * (ratio - 1)), "test": 9}
    spec = Spec.from_text(SPEC, file="toy.yaml", folder=Path())
    assert refit_share(layout(1, threads), rows, spec) == pytest.approx(share, abs=1e-3)
    small: dict[Part, int] = {"train": 1_000, "validation": round(1_000 * (ratio - 1)), "test": 9}
    assert refit_share(layout(1, threads), small, spec) == pytest.approx(ratio**2, abs=1e-3)  # one thread
    own = Spec.from_text(SPEC, ["fit={on: train}"], file="toy.yaml", folder=Path())
    assert refit_share(layout(1, threads), rows, own) == refit_share(
        layout(1, threads), {**rows, "validation": 0}, spec
    )


class Clocked(TrainingState):
    """Two seconds a round, on a clock of its own."""

    def __init__(self) -> None:
        self.now, self.asked = 100.0, []

    def advance(self, rounds: int) -> None:
        self.now += 2.0 * (rounds - self.rounds)
        self.rounds = rounds
        self.asked.append(rounds)

    def scores(self) -> Scores:
        raise NotImplementedError

    def model(self, rounds: int) -> bytes:
        raise NotImplementedError

    def state(self) -> bytes:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("seconds", "world", "asked"), [(7.0, 1, [1, 3]), (-5.0, 1, [1, 1]), (math.inf, 1, [15]), (7.0, 2, [15])]
)
def test_a_trial_stops_by_round_where_its_time_ends_before_its_next_evaluation(
    seconds: float, world: int, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    training, worker = Clocked(), TrialWorker.__new__(TrialWorker)
    worker.world = world
    monkeypatch.setattr("ray_pipeline.tuning.trial_worker.time.perf_counter", lambda: training.now)
    worker._advance(training, 15, training.now + seconds)
    assert training.asked == asked


def test_backtests_before_the_refit_are_part_of_the_time_up_to_their_share() -> None:
    def left(seconds: float, backtests: int) -> float:
        budget = TimeBudget(limit=100.0, refit_share=0.5, backtests=backtests, began=time.monotonic() - 30)
        return budget.for_trials(result(seconds, 50, 50))

    for number, cost in BACKTESTS.items():
        assert left(4.0, number) == pytest.approx(100 - START_S - 30 - 2 - cost * 2, abs=0.1)
    assert left(40.0, 3) == pytest.approx(100 - START_S - 30 - 20 - 15, abs=0.1)


@pytest.mark.parametrize(("at_once", "kept"), [(1, 10 + 6 + 2), (2, 10)])
def test_the_refits_of_members_are_kept_free_as_they_are_run(at_once: int, kept: float) -> None:
    budget = TimeBudget(limit=100.0, refit_share=1.0, refits_at_once=at_once)
    left = budget.for_trials(result(10, 5, 5), [result(6, 5, 5), result(2, 5, 5)])
    assert left == pytest.approx(100 - START_S - kept, abs=0.5)


def test_members_beside_the_best_trial_take_a_quarter_of_the_time_at_most() -> None:
    budget = TimeBudget(limit=100.0, refit_share=1.0)
    assert budget.for_trials(result(10, 5, 5), [result(60, 5, 5)]) == pytest.approx(100 - START_S - 10 - 25, abs=0.5)
    assert budget.for_refits(result(1, 5, 5), result(10, 5, 5)) == 35.0


def test_refits_have_what_the_trials_left_and_always_a_little() -> None:
    late = TimeBudget(limit=100.0, refit_share=1.0, backtests=1, began=time.monotonic() - 75)
    winner = result(2, 5, 5)  # its backtest takes 3 s
    assert late.for_refits(winner, result(10, 5, 5)) == pytest.approx(25 - START_S - 3, abs=0.5)
    assert late.for_refits(winner, result(40, 5, 5)) == 45.0  # the best metric is another trial's
