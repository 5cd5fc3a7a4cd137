"""Successive halving: where a trial is looked at, and that only the best third of its contemporaries goes on."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.tuning.pruner import (
    MAX_RUNGS,
    MIN_KNOWN,
    MIN_ROUNDS,
    RECENT,
    REDUCTION,
    Pruner,
    rungs_of,
    should_prune,
)

SCORES = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("budget", "halving", "expected"),
    [
        (100, True, (11, 33, 100)),
        (100, False, (100,)),
        (2000, True, (222, 666, 2000)),
        (29, True, (29,)),
        (30, True, (10, 30)),
        (1, True, (1,)),
    ],
)
def test_a_trial_is_looked_at_after_a_ninth_a_third_and_all_of_its_rounds(
    budget: int, halving: bool, expected: tuple[int, ...]
) -> None:
    assert all(rung.every == 1 for rung in rungs_of(budget, halving, rows=900_000))
    assert tuple(rung.rounds for rung in rungs_of(budget, halving)) == expected


def test_where_there_are_many_rows_the_first_of_several_rungs_is_on_a_share_of_them() -> None:
    assert rungs_of(100, True, rows=2_600_000) == ((11, 5), (33, 1), (100, 1))
    assert rungs_of(20, True, rows=2_600_000) == ((20, 1),)


@given(st.integers(1, 100_000), st.integers(0, 10_000_000))
def test_rungs_grow_threefold_from_ten_rounds_up_and_the_last_is_the_whole_budget_on_all_rows(
    budget: int, rows: int
) -> None:
    rungs = rungs_of(budget, halving=True, rows=rows)
    assert rungs[-1] == (budget, 1) and 1 <= len(rungs) <= MAX_RUNGS
    assert all(earlier.rounds == later.rounds // REDUCTION for earlier, later in pairwise(rungs))
    assert all(rung.rounds >= MIN_ROUNDS for rung in rungs[:-1])
    assert all(rung.every == 1 for rung in rungs[1:]) and rungs[0].every <= max(1, rows // 500_000)


@given(st.lists(SCORES, min_size=MIN_KNOWN, max_size=RECENT))
def test_the_best_third_goes_on_and_all_others_are_pruned(known: list[float]) -> None:
    going_on = [score for score in known if not should_prune(score, known)]
    bar = sorted(known, reverse=True)[math.ceil(len(known) / REDUCTION) - 1]
    assert sorted(going_on) == sorted(score for score in known if score >= bar)


@given(st.lists(SCORES, max_size=30), SCORES, SCORES)
def test_a_better_score_is_never_pruned_where_a_worse_one_goes_on(known: list[float], one: float, other: float) -> None:
    worse, better = sorted((one, other))
    assert should_prune(worse, known) or not should_prune(better, known)


@given(st.lists(SCORES, min_size=RECENT, max_size=RECENT), st.lists(SCORES, max_size=20), SCORES)
def test_only_the_last_nine_trials_count(recent: list[float], earlier: list[float], score: float) -> None:
    assert should_prune(score, earlier + recent) == should_prune(score, recent)


@given(st.lists(SCORES, max_size=MIN_KNOWN - 1), SCORES)
def test_nothing_is_pruned_for_want_of_comparison_but_what_is_not_finite(known: list[float], score: float) -> None:
    assert not should_prune(score, known)
    assert all(should_prune(broken, known) for broken in (math.nan, math.inf, -math.inf))


def reach(pruner: Pruner, trial: int, *scores: float, ended: bool = False) -> list[tuple[int, int]]:
    """The trial comes to so many further rungs; the trials that stop."""
    for place, score in enumerate(scores):
        pruner.report(trial, score, ended=ended and place == len(scores) - 1)
    return pruner.judge()


def test_a_trial_is_compared_with_the_trials_before_it() -> None:
    pruner = Pruner()
    assert [reach(pruner, trial, score) for trial, score in enumerate([1.0, 3.0])] == [[], []]
    assert reach(pruner, 2, 2.0) == [(2, 0)]
    assert reach(pruner, 3, 3.0) == []  # as good as the best of three
    assert reach(pruner, 4, 2.9) == [(4, 0)]
    assert reach(pruner, 0, 9.0) == []  # nobody before it


def test_a_trial_goes_on_until_those_before_it_have_come_to_its_rung_and_stops_there_then() -> None:
    pruner = Pruner()
    assert reach(pruner, 0, 5.0, 9.0, ended=True) == []
    assert reach(pruner, 2, 4.0, 8.0, 7.0, ended=True) == [] and not pruner.is_judged(2)
    assert reach(pruner, 1, 6.0) == [(2, 0)] and pruner.is_judged(2)
    assert reach(pruner, 3, 6.0) == []
    assert reach(pruner, 3, 8.5) == [] and not pruner.is_judged(3)  # trial 1 has not come there
    assert reach(pruner, 1, 8.7) == [(3, 1)]


def test_a_trial_that_failed_or_stopped_is_not_waited_for() -> None:
    pruner = Pruner()
    reach(pruner, 0, 5.0, 9.0, ended=True)
    reach(pruner, 1, 6.0)
    assert reach(pruner, 2, 7.0, 1.0) == [] and not pruner.is_judged(2)
    assert reach(pruner, 1, math.nan, ended=True) == [] and pruner.is_judged(2)  # compared with one: too few
    pruner.close(1, [6.0])
    assert reach(pruner, 3, 6.5) == [(3, 0)]


@pytest.mark.parametrize("in_order", [True, False])
def test_a_pruner_that_is_not_enabled_stops_nothing(in_order: bool) -> None:
    pruner = Pruner(enabled=False, in_order=in_order)
    assert [reach(pruner, trial, 1.0 - trial, math.nan) for trial in range(12)] == [[]] * 12


def test_without_an_order_a_trial_is_compared_at_once_with_all_that_have_come_to_the_rung() -> None:
    pruner = Pruner(in_order=False)
    assert reach(pruner, 5, 3.0) == [] and reach(pruner, 9, 2.0) == []
    assert reach(pruner, 0, 2.5) == [(0, 0)]
    assert reach(pruner, 1, 3.5) == [] and pruner.is_judged(1)
