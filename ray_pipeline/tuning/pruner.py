"""When a trial is looked at, and whether it is stopped there: successive halving (Jamieson & Talwalkar, 2016)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REDUCTION, MAX_RUNGS, MIN_ROUNDS = 3, 3, 10
MIN_KNOWN, RECENT = 2, 9
SAMPLED_ROWS = 500_000
"""A first rung on so many rows ranks trials well enough; it is one from twice as many rows on."""


class Rung(NamedTuple):
    """Where a trial is looked at: after so many rounds, on every `every`-th training row."""

    rounds: int
    every: int = 1


def rungs_of(budget: int, halving: bool, rows: int = 0) -> tuple[Rung, ...]:
    """The rungs of a trial: a ninth of its rounds, a third, and all, where that is ten rounds or more.

    Earlier rungs would stop whatever learns slowly: of a booster with a learning rate of 0.02, 14 rounds of 400 show a
    quarter of the way. Where there are many rows, the first of several rungs is trained on a share of them, and the
    trial begins anew on all rows if it goes on.

    >>> rungs_of(400, halving=True)
    (Rung(rounds=44, every=1), Rung(rounds=133, every=1), Rung(rounds=400, every=1))
    """
    rungs = [Rung(budget)]
    while halving and len(rungs) < MAX_RUNGS and rungs[0].rounds // REDUCTION >= MIN_ROUNDS:
        rungs.insert(0, Rung(rungs[0].rounds // REDUCTION))
    every = rows // SAMPLED_ROWS
    return (Rung(rungs[0].rounds, every), *rungs[1:]) if len(rungs) > 1 and every > 1 else tuple(rungs)


def should_prune(score: float, known: Sequence[float]) -> bool:
    """Whether a trial is not among the best third of the trials that it is compared with.

    Those are the last nine that it may know. Proposals get better as the search goes on: held against all earlier
    trials, two in three would stay.

    Parameters
    ----------
    score
        The trial's score at a rung; higher is better. A score that is not finite is pruned.
    known
        The scores of earlier trials at that rung, the latest last.
    """
    recent = known[-RECENT:]
    if not np.isfinite(score):
        return True
    if len(recent) < MIN_KNOWN:
        return False
    best_third = sorted(recent, reverse=True)[: math.ceil(len(recent) / REDUCTION)]
    return bool(score < best_third[-1])
