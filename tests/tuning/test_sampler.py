"""The search decides alike with one slot and many, in whatever order results arrive; judged on a toy objective whose
best is known."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ray_pipeline.components.space import Any as OneOf
from ray_pipeline.components.space import Float, Int, Log
from ray_pipeline.tuning import sampler as tuning_sampler
from ray_pipeline.tuning.family_allocation import FamilyAllocation
from ray_pipeline.tuning.sampler import Proposal, Sampler, Status, TrialResult

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


def sampler(trials: int = 24, **more: Any) -> Sampler:
    return Sampler(
        family="toy",
        space=SPACE,
        start=START,
        integers=frozenset({"leaves"}),
        num_trials=trials,
        seed=5,
        **{"better": "lower", **more},
    )


def result(trial: int, status: Status = "completed", metric: float | None = None, **more: Any) -> TrialResult:
    fields = {"family": "toy", "params": {}, "rungs": (), "rounds": 1, "seconds": 0.0, **more}
    return TrialResult(trial=trial, status=status, metric=metric, **fields)


def curve(params: Any) -> Iterator[tuple[int, float]]:
    """A loss that falls with the rounds, towards a floor that the parameters decide."""
    floor = (
        (params["x"] - 1) ** 2
        + abs(math.log10(params["rate"]) + 1)
        + abs(params["depth"] - 6) / 5
        + (params["kind"] == "b")
    )
    return ((rounds, floor + 1 / rounds) for rounds in RUNGS)


def end(search: Sampler, proposal: Proposal, reached: int, status: Status) -> None:
    """Tells the search that a trial has ended after so many rungs."""
    rungs = tuple(curve(proposal.params))[:reached]
    rounds, value = rungs[-1] if status != "failed" else (0, None)
    more = {"params": proposal.params, "rungs": rungs, "rounds": rounds, "why": "it broke" * (status == "failed")}
    search.tell(result(proposal.trial, status, value, **more))


def run_trial(search: Sampler, proposal: Proposal) -> None:
    """Runs a trial to its end, beside no other."""
    drive_on(search, {proposal.trial: proposal}, 1, lambda running: running[0], frozenset())


def drive(
    search: Sampler, slots: int, order: random.Random | None = None, failing: frozenset[int] = frozenset()
) -> Sampler:
    """Runs the search on so many slots; trials come to their rungs in turns, or in a random order."""
    choose = order.choice if order else (lambda running: running[0])
    drive_on(search, {}, slots, choose, failing)
    assert search.ask() is None
    return search


def drive_on(
    search: Sampler,
    begun: dict[int, Proposal],
    slots: int,
    choose: Callable[[list[int]], int],
    failing: frozenset[int],
) -> None:
    """Runs trials that have begun, and all that the search proposes unless some have begun."""
    proposes, open_trials, training = not begun, dict(begun), list(begun)
    reached = dict.fromkeys(begun, 0)
    while open_trials or (proposes and not search.exhausted):
        while proposes and len(training) < slots and (proposal := search.ask()):
            open_trials[proposal.trial], reached[proposal.trial] = proposal, 0
            training.append(proposal.trial)
        assert training, "nothing runs and nothing is proposed: the search would wait for ever"
        trial = choose(training)
        if trial not in open_trials:  # it had to stop at an earlier rung
            training.remove(trial)
            continue
        reached[trial] += 1
        last, breaks = reached[trial] == len(RUNGS), trial in failing and reached[trial] == 2
        score = math.nan if breaks else search.sign * list(curve(open_trials[trial].params))[reached[trial] - 1][1]
        reached[trial] -= breaks
        search.pruner.report(trial, score, ended=last or breaks)
        if last or breaks:
            training.remove(trial)
        for stopped, rung in search.pruner.judge():
            end(search, open_trials.pop(stopped), rung + 1, "stopped")
        for ended in [other for other in open_trials if other not in training and search.pruner.is_judged(other)]:
            end(search, open_trials.pop(ended), reached[ended], "failed" if ended in failing else "completed")


def best(search: Sampler) -> TrialResult | None:
    families = {search.family: search}
    return FamilyAllocation(
        families=families, num_trials=search.num_trials, window=search.window, results=search.results, costs={}
    ).best


def decisions(search: Sampler) -> dict[int, tuple[Any, ...]]:
    return {trial: (dict(o.params), o.rungs, o.status, o.metric) for trial, o in sorted(search.results.items())}


@pytest.mark.parametrize("failing", [frozenset[int](), frozenset({0, 3, 4, 11})], ids=["all finish", "some fail"])
@pytest.mark.parametrize("searcher", ["tpe", "random"])
def test_slots_and_the_order_of_results_change_no_decision(searcher: str, failing: frozenset[int]) -> None:
    alone = drive(sampler(searcher=searcher), 1, failing=failing)
    assert len(alone.results) == 24 and {o.status for o in alone.results.values()} == {"completed", "stopped"} | (
        {"failed"} if failing else set()
    )
    for slots, order in ((2, None), (4, None), (4, random.Random(1)), (4, random.Random(2)), (9, random.Random(3))):
        other = drive(sampler(searcher=searcher), slots, order, failing)
        assert decisions(other) == decisions(alone)
        assert best(other) == best(alone)


def test_without_a_window_a_decision_knows_all_that_has_ended_and_a_journal_is_taken_as_it_is() -> None:
    free = drive(sampler(window=None), 4, random.Random(1))
    assert decisions(free) != decisions(drive(sampler(window=None), 4, random.Random(2)))
    again = sampler(window=None)
    for trial, ended in sorted(free.results.items()):
        if trial == 17:  # it was running when the search was interrupted: it is proposed anew, and nothing after it is
            run_trial(again, again.ask())  # type: ignore[arg-type]
            continue
        proposal = again.ask(ended.params)
        assert proposal and (proposal.trial, dict(proposal.params)) == (trial, dict(ended.params))
        again.tell(ended)
    assert again.exhausted and len(again.results) == 24


def test_trial_0_is_the_start_as_far_as_it_is_searched() -> None:
    first = sampler().ask()
    assert first and first.trial == 0
    assert first.params == {"x": 0.5, "depth": 3, "rate": 0.1, "leaves": 8, "kind": "a", "fixed": 7}
    narrowed = replace(sampler(3), space={"x": Float(low=1.0, high=2.0)}, integers=frozenset()).ask()
    assert narrowed and 1.0 <= narrowed.params["x"] <= 2.0


def test_every_proposal_lies_in_its_space_and_integers_are_whole() -> None:
    for params in (ended.params for ended in drive(sampler(), 4).results.values()):
        assert params["fixed"] == 7
        assert all(space.contains(params[name]) for name, space in SPACE.items() if name != "fixed")
        assert isinstance(params["depth"], int) and isinstance(params["leaves"], int)


@pytest.mark.parametrize("window", [1, 4, 7])
def test_a_trial_waits_until_all_trials_before_its_window_are_known(window: int) -> None:
    search = sampler(window=window)
    begun = [search.ask() for _ in range(window)]
    assert all(begun) and search.ask() is None and not search.exhausted
    for trial in range(1, window):
        search.tell(result(trial, "completed", 0.5))
    assert search.ask() is None
    search.tell(result(0, "completed", 0.5))
    following = search.ask()
    assert following and following.trial == window


def test_only_completed_trials_win_and_the_earlier_of_equals() -> None:
    search = sampler()
    assert best(search) is None
    ends: list[tuple[float | None, Status]] = [
        (0.5, "completed"),
        (0.1, "stopped"),
        (None, "failed"),
        (0.3, "completed"),
        (0.3, "completed"),
    ]
    for trial, (metric, status) in enumerate(ends):
        search.tell(result(trial, status, metric))
    assert (winner := best(search)) and winner.trial == 3
    search.better = "higher"
    assert (winner := best(search)) and winner.trial == 0


def test_optuna_is_told_each_trial_as_it_ended() -> None:
    search = drive(sampler(failing := 12), 4, failing=frozenset({0}))
    states = {trial.number: trial.state.name for trial in search._study.trials[: failing - 4]}
    expected = {"completed": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
    assert states == {trial: expected[search.results[trial].status] for trial in states} and states[0] == "FAIL"
    assert all(
        dict(search.results[t.number].rungs) == t.intermediate_values for t in search._study.trials[: failing - 4]
    )


@pytest.mark.parametrize("window", [4, None])
def test_a_long_search_goes_on_in_a_new_study_that_knows_the_best_and_the_latest(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in {"STUDY_TRIALS": 20, "KEPT_BEST": 3, "KEPT_LATEST": 6}.items():
        monkeypatch.setattr(tuning_sampler, name, number)
    search = drive(sampler(90, window=window), 4, failing=frozenset({30, 31}))
    known = search._study.get_trials(deepcopy=False)
    assert len(known) <= 20 + 4
    metrics = sorted(o.metric for o in search.results.values() if o.status == "completed" and o.metric is not None)
    assert metrics[0] in [trial.value for trial in known]
    for trial in known:
        same = [o for o in search.results.values() if trial.params.items() <= o.params.items()]
        assert same and (trial.state.name == "RUNNING" or trial.intermediate_values == dict(same[0].rungs))
    if window:
        for slots, order in ((1, None), (9, random.Random(3))):
            assert decisions(drive(sampler(90), slots, order, frozenset({30, 31}))) == decisions(search)


def test_the_search_ends_nearer_to_the_best_than_where_it_started() -> None:
    search = drive(sampler(60), 4)
    winner = best(search)
    assert winner and winner.metric is not None
    assert winner.metric < 0.5 * list(curve({**SPACE, **START}))[-1][1]
