"""The search decides alike with one slot and many, in whatever order results arrive; judged on a toy objective whose
best is known."""

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Log
from ray_pipeline.tuning.sampler import Proposal, Sampler, Status, TrialResult, rungs

SPACE: dict[str, Any] = {
    "x": Float(low=-2.0, high=2.0),
    "depth": Int(low=1, high=9),
    "rate": Log(low=0.01, high=1.0),
    "leaves": Log(low=2, high=64),
    "kind": OneOf(values=("a", "b")),
    "fixed": 7,
}
START = {"x": 0.5, "depth": 3, "rate": 0.1, "leaves": 8, "kind": "a", "elsewhere": 1}
RUNGS = (11, 33, 100)


def proposals(trials: int = 24, **more: Any) -> Sampler:
    return Sampler(
        family="toy",
        space=SPACE,
        start=START,
        integers=frozenset({"leaves"}),
        num_trials=trials,
        seed=5,
        **{"better": "lower", **more},
    )


def curve(params: Any) -> Iterator[tuple[int, float]]:
    """A loss that falls with the rounds, towards a floor that the parameters decide."""
    floor = (
        (params["x"] - 1) ** 2
        + abs(math.log10(params["rate"]) + 1)
        + abs(params["depth"] - 6) / 5
        + (params["kind"] == "b")
    )
    return ((rounds, floor + 1 / rounds) for rounds in RUNGS)


def run_trial(search: Sampler, proposal: Proposal, failing: frozenset[int] = frozenset()) -> TrialResult:
    evaluations: list[tuple[int, float]] = []
    status: Status = "completed"
    for rung, (rounds, value) in enumerate(curve(proposal.params)):
        evaluations.append((rounds, value))
        if rung < len(RUNGS) - 1 and not search.goes_on(proposal.trial, rung, value):
            status = "stopped"
            break
    if proposal.trial in failing:
        return TrialResult(proposal.trial, "toy", proposal.params, (), None, 0, 0.0, "failed", "it broke")
    return TrialResult(
        proposal.trial, "toy", proposal.params, tuple(evaluations), evaluations[-1][1], evaluations[-1][0], 0.0, status
    )


def drive(
    search: Sampler, slots: int, order: random.Random | None = None, failing: frozenset[int] = frozenset()
) -> Sampler:
    """Runs the search on so many slots; trials end in the order they began, or in a random one."""
    running: list[Proposal] = []
    while not search.exhausted or running:
        while len(running) < slots and (proposal := search.next()):
            running.append(proposal)
        assert running, "nothing runs and nothing is proposed: the search would wait for ever"
        ended = running.pop(order.randrange(len(running)) if order else 0)
        search.finish(run_trial(search, ended, failing))
    assert search.next() is None
    return search


def told(search: Sampler) -> dict[int, tuple[Any, ...]]:
    return {trial: (dict(o.params), o.rungs, o.status, o.metric) for trial, o in sorted(search.results.items())}


@pytest.mark.parametrize("failing", [frozenset[int](), frozenset({0, 3, 4, 11})], ids=["all finish", "some fail"])
@pytest.mark.parametrize("searcher", ["tpe", "random"])
def test_slots_and_the_order_of_results_change_no_decision(searcher: str, failing: frozenset[int]) -> None:
    alone = drive(proposals(searcher=searcher), 1, failing=failing)
    assert len(alone.results) == 24 and {o.status for o in alone.results.values()} == {"completed", "stopped"} | (
        {"failed"} if failing else set()
    )
    for slots, order in ((2, None), (4, None), (4, random.Random(1)), (4, random.Random(2)), (9, random.Random(3))):
        other = drive(proposals(searcher=searcher), slots, order, failing)
        assert told(other) == told(alone)
        assert other.best == alone.best


def test_without_a_window_a_decision_knows_all_that_has_ended_and_a_journal_is_taken_as_it_is() -> None:
    free = drive(proposals(window=None), 4, random.Random(1))
    assert told(free) != told(drive(proposals(window=None), 4, random.Random(2)))
    again = proposals(window=None)
    for trial, result in sorted(free.results.items()):
        if trial == 17:  # it was running when the search was interrupted: it is proposed anew, and nothing after it is
            again.finish(run_trial(again, again.next()))
            continue
        proposal = again.next(result.params)
        assert proposal and (proposal.trial, dict(proposal.params)) == (trial, dict(result.params))
        again.finish(result)
    assert again.exhausted and len(again.results) == 24


def test_trial_0_is_the_start_as_far_as_it_is_searched() -> None:
    first = proposals().next()
    assert first and first.trial == 0
    assert first.params == {"x": 0.5, "depth": 3, "rate": 0.1, "leaves": 8, "kind": "a", "fixed": 7}
    narrowed = Sampler("toy", {"x": Float(low=1.0, high=2.0)}, START, frozenset(), 3, 5, "lower").next()
    assert narrowed and 1.0 <= narrowed.params["x"] <= 2.0


def test_every_proposal_lies_in_its_space_and_integers_are_whole() -> None:
    for result in drive(proposals(), 4).results.values():
        assert result.params["fixed"] == 7
        assert all(space.contains(result.params[name]) for name, space in SPACE.items() if name != "fixed")
        assert isinstance(result.params["depth"], int) and isinstance(result.params["leaves"], int)


@pytest.mark.parametrize("window", [1, 4, 7])
def test_a_trial_waits_until_all_trials_before_its_window_are_known(window: int) -> None:
    search = proposals(window=window)
    begun = [search.next() for _ in range(window)]
    assert all(begun) and search.next() is None and not search.exhausted
    for proposal in begun[1:]:
        search.finish(run_trial(search, proposal))  # type: ignore[arg-type]
    assert search.next() is None
    search.finish(run_trial(search, begun[0]))  # type: ignore[arg-type]
    following = search.next()
    assert following and following.trial == window


def test_a_rung_is_judged_against_the_best_third_of_the_trials_it_may_know() -> None:
    search = proposals()
    for trial, value in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]):
        search.finish(TrialResult(trial, "toy", {}, ((11, value),), value, 11, 0.0, "stopped"))
    assert [search.goes_on(9, 0, value) for value in (0.2, 0.21, math.nan)] == [True, False, False]
    assert search.goes_on(6, 0, 0.1) and not search.goes_on(6, 0, 0.11)  # knows trials 0, 1, 2: only the best of three
    assert search.goes_on(4, 0, 9.0)  # knows one trial: too few to stop anything
    assert search.goes_on(9, 1, 9.0)  # nobody has reached that rung
    higher = proposals(better="higher")
    higher.results = search.results
    assert higher.goes_on(9, 0, 0.5) and not higher.goes_on(9, 0, 0.49)
    assert proposals(halving=False).goes_on(9, 0, math.nan)


def test_only_completed_trials_win_and_the_earlier_of_equals() -> None:
    search = proposals()
    assert search.best is None
    ends: list[tuple[float | None, Status]] = [
        (0.5, "completed"),
        (0.1, "stopped"),
        (None, "failed"),
        (0.3, "completed"),
        (0.3, "completed"),
    ]
    for trial, (metric, status) in enumerate(ends):
        search.finish(TrialResult(trial, "toy", {}, (), metric, 1, 0.0, status))
    assert search.best and search.best.trial == 3
    search.better = "higher"
    assert search.best.trial == 0


def test_optuna_is_told_each_trial_as_it_ended() -> None:
    search = drive(proposals(failing := 12), 4, failing=frozenset({2}))
    states = {trial.number: trial.state.name for trial in search._study.trials[: failing - 4]}
    expected = {"completed": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
    assert states == {trial: expected[search.results[trial].status] for trial in states} and states[2] == "FAIL"
    assert all(
        dict(search.results[t.number].rungs) == t.intermediate_values for t in search._study.trials[: failing - 4]
    )


def test_the_search_ends_nearer_to_the_best_than_where_it_started() -> None:
    search = drive(proposals(60), 4)
    assert search.best and search.best.metric is not None
    assert search.best.metric < 0.5 * list(curve({**SPACE, **START}))[-1][1]


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
    assert all(rung.every == 1 for rung in rungs(budget, halving, rows=900_000))
    assert tuple(rung.rounds for rung in rungs(budget, halving)) == expected


def test_where_there_are_many_rows_the_first_of_several_rungs_is_on_a_share_of_them() -> None:
    assert rungs(100, True, rows=2_600_000) == ((11, 5), (33, 1), (100, 1))
    assert rungs(20, True, rows=2_600_000) == ((20, 1),)
