"""Successive halving: where a trial is looked at, and that only the best third of its contemporaries goes on."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.tuning.pruner import MAX_RUNGS, MIN_KNOWN, MIN_ROUNDS, RECENT, REDUCTION, rungs_of, should_prune

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
