"""A contest between families: defaults first, the budget to the winner, the same decisions with one slot and many."""

import random
from typing import Any

import pytest

from ray_pipeline.components.space import Float
from ray_pipeline.tuning.family_allocation import FamilyAllocation
from ray_pipeline.tuning.sampler import Proposal, Sampler, TrialResult

WINDOW = 4
FLOOR = {"trees": 1.0, "net": 1.3, "attention": 2.0}
SECONDS = {"trees": 1.0, "net": 5.0, "attention": 20.0}


def contest(
    trials: int = 40, names: tuple[str, ...] = ("trees", "net", "attention"), window: int | None = WINDOW
) -> FamilyAllocation:
    space = {"x": Float(low=-2.0, high=2.0)}
    families = [
        Sampler(name, space, {"x": 1.0}, frozenset(), trials, 5, "lower", window=window, halving=False)
        for name in names
    ]
    return FamilyAllocation(families, trials, window)


def ended(proposal: Proposal, failing: frozenset[str] = frozenset()) -> TrialResult:
    value = FLOOR[proposal.family] + (proposal.params["x"] - 0.3) ** 2
    failed = proposal.family in failing
    return TrialResult(
        proposal.trial,
        proposal.family,
        proposal.params,
        (),
        None if failed else value,
        10,
        SECONDS[proposal.family],
        "failed" if failed else "completed",
    )


def drive(
    search: FamilyAllocation, slots: int, seed: int | None = None, failing: frozenset[str] = frozenset()
) -> FamilyAllocation:
    running: list[Proposal] = []
    order = random.Random(seed)
    while not search.exhausted or running:
        while len(running) < slots and (proposal := search.next()):
            running.append(proposal)
        assert running, "nothing runs and nothing is proposed: the search would wait for ever"
        search.finish(ended(running.pop(order.randrange(len(running)) if seed is not None else 0), failing))
    return search


def told(search: FamilyAllocation) -> list[Any]:
    return [(i, o.family, dict(o.params)) for i, o in sorted(search.results.items())]


@pytest.mark.parametrize("failing", [frozenset[str](), frozenset({"attention"})], ids=["all finish", "one fails"])
def test_one_slot_and_many_decide_alike_in_whatever_order_results_arrive(failing: frozenset[str]) -> None:
    alone = told(drive(contest(), 1, failing=failing))
    assert all(told(drive(contest(), slots, seed, failing)) == alone for slots, seed in ((2, 0), (4, 1), (8, 2)))


def test_every_family_starts_with_its_default_and_the_winner_has_most_of_the_budget() -> None:
    search = drive(contest(60), 2)
    assert [o.family for _, o in sorted(search.results.items())][:3] == ["trees", "net", "attention"]
    assert all(search.results[i].params["x"] == 1.0 for i in range(3))
    assert search.best is not None and search.best.family == "trees"
    spent = {name: sum(o.seconds for i, o in search.results.items() if o.family == name and i >= 3) for name in FLOOR}
    assert 0 < spent["net"] + spent["attention"] <= spent["trees"]


def test_a_slow_default_holds_nobody_up_where_the_search_is_free() -> None:
    search = contest(30, window=None)
    defaults = [search.next() for _ in range(3)]
    assert search.next() is None  # nothing has ended: there is no leader yet
    trees, net, attention = (one for one in defaults if one)
    search.finish(ended(trees))
    while (proposal := search.next()) and len(search.given) < 20:
        assert proposal.family == "trees"
        search.finish(ended(proposal))
    search.finish(ended(net))
    search.finish(ended(attention))
    while (proposal := search.next()) is not None:
        search.finish(ended(proposal))
    assert search.exhausted and search.best is not None and search.best.family == "trees"
    spent = {name: SECONDS[name] * (sum(family == name for family, _ in search.given) - 1) for name in FLOOR}
    assert 0 < spent["net"] + spent["attention"] <= spent["trees"]


def test_a_family_whose_default_fails_gets_no_more_of_the_budget() -> None:
    search = drive(contest(30), 2, failing=frozenset({"trees"}))
    assert sum(o.family == "trees" for o in search.results.values()) == 1
    assert search.best is not None and search.best.family == "net"
    assert list(search.finalists) == ["net", "attention"]


def test_one_family_alone_is_searched_as_its_proposals_would_be() -> None:
    (alone,) = contest(20, ("net",)).families
    search = drive(contest(20, ("net",)), 3)
    while (proposal := alone.next()) is not None:
        alone.finish(ended(proposal))
    assert [dict(o.params) for _, o in sorted(alone.results.items())] == [
        dict(o.params) for _, o in sorted(search.results.items())
    ]
