"""Trials for several families: defaults first, the budget to the winner, the same decisions with one slot and many."""

import random
from typing import Any

import pytest

from ray_pipeline.components.space import Float
from ray_pipeline.tuning.family_allocation import FamilyAllocation
from ray_pipeline.tuning.sampler import Proposal, Sampler, TrialResult

WINDOW = 4
FLOOR = {"trees": 1.0, "net": 1.3, "attention": 2.0}
SECONDS = {"trees": 1.0, "net": 5.0, "attention": 20.0}


def allocation_of(
    trials: int = 40, names: tuple[str, ...] = ("trees", "net", "attention"), window: int | None = WINDOW
) -> FamilyAllocation:
    space = {"x": Float(low=-2.0, high=2.0)}
    families = {
        name: Sampler(
            family=name,
            space=space,
            start={"x": 1.0},
            integers=frozenset(),
            num_trials=trials,
            seed=5,
            better="lower",
            window=window,
            halving=False,
        )
        for name in names
    }
    return FamilyAllocation(families=families, num_trials=trials, window=window, costs=SECONDS)


def ended(proposal: Proposal, failing: frozenset[str] = frozenset()) -> TrialResult:
    value = FLOOR[proposal.family] + (proposal.params["x"] - 0.3) ** 2
    failed = proposal.family in failing
    return TrialResult(
        trial=proposal.trial,
        family=proposal.family,
        params=proposal.params,
        rungs=(),
        metric=None if failed else value,
        rounds=10,
        seconds=SECONDS[proposal.family],
        status="failed" if failed else "completed",
    )


def drive(
    search: FamilyAllocation, slots: int, seed: int | None = None, failing: frozenset[str] = frozenset()
) -> FamilyAllocation:
    running: list[Proposal] = []
    order = random.Random(seed)
    while not search.exhausted or running:
        while len(running) < slots and (proposal := search.ask()):
            running.append(proposal)
        assert running, "nothing runs and nothing is proposed: the search would wait for ever"
        search.tell(ended(running.pop(order.randrange(len(running)) if seed is not None else 0), failing))
    return search


def test_a_busy_machine_changes_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = decisions(drive(allocation_of(), 2))
    search = allocation_of()
    monkeypatch.setitem(SECONDS, "trees", 50.0)
    monkeypatch.setitem(SECONDS, "attention", 0.1)
    search.costs = {"trees": 1.0, "net": 5.0, "attention": 20.0}
    assert decisions(drive(search, 2)) == quiet


def decisions(search: FamilyAllocation) -> list[Any]:
    return [(i, o.family, dict(o.params)) for i, o in sorted(search.results.items())]


@pytest.mark.parametrize("failing", [frozenset[str](), frozenset({"attention"})], ids=["all finish", "one fails"])
def test_one_slot_and_many_decide_alike_in_whatever_order_results_arrive(failing: frozenset[str]) -> None:
    alone = decisions(drive(allocation_of(), 1, failing=failing))
    assert all(
        decisions(drive(allocation_of(), slots, seed, failing)) == alone for slots, seed in ((2, 0), (4, 1), (8, 2))
    )


def test_every_family_starts_with_its_default_and_the_winner_has_most_of_the_budget() -> None:
    search = drive(allocation_of(60), 2)
    assert [o.family for _, o in sorted(search.results.items())][:3] == ["trees", "net", "attention"]
    assert all(search.results[i].params["x"] == 1.0 for i in range(3))
    assert search.best is not None and search.best.family == "trees"
    spent = {name: sum(o.seconds for i, o in search.results.items() if o.family == name and i >= 3) for name in FLOOR}
    assert 0 < spent["net"] + spent["attention"] <= spent["trees"]


def test_a_slow_default_holds_nobody_up_where_the_search_is_free() -> None:
    search = allocation_of(30, window=None)
    defaults = [search.ask() for _ in range(3)]
    assert search.ask() is None  # nothing has ended: there is no leader yet
    trees, net, attention = (one for one in defaults if one)
    search.tell(ended(trees))
    while (proposal := search.ask()) and len(search.assigned) < 20:
        assert proposal.family == "trees"
        search.tell(ended(proposal))
    search.tell(ended(net))
    search.tell(ended(attention))
    while (proposal := search.ask()) is not None:
        search.tell(ended(proposal))
    assert search.exhausted and search.best is not None and search.best.family == "trees"
    spent = {name: SECONDS[name] * (sum(family == name for family, _ in search.assigned) - 1) for name in FLOOR}
    assert 0 < spent["net"] + spent["attention"] <= spent["trees"]


def test_a_family_whose_default_fails_gets_no_more_of_the_budget() -> None:
    search = drive(allocation_of(30), 2, failing=frozenset({"trees"}))
    assert sum(o.family == "trees" for o in search.results.values()) == 1
    assert search.best is not None and search.best.family == "net"
    assert list(search.finalists) == ["net", "attention"]


def test_one_family_alone_is_searched_as_its_sampler_would_search_it() -> None:
    alone = allocation_of(20, ("net",)).families["net"]
    search = drive(allocation_of(20, ("net",)), 3)
    while (proposal := alone.ask()) is not None:
        alone.tell(ended(proposal))
    assert [dict(o.params) for _, o in sorted(alone.results.items())] == [
        dict(o.params) for _, o in sorted(search.results.items())
    ]
