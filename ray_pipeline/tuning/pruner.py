"""The pruner: the rungs of a trial, and whether it stops there; successive halving (Jamieson & Talwalkar, 2016).

At a rung the Tune runner asks the trial store, which asks the sampler of the trial's family, which asks this file.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REDUCTION, MAX_RUNGS, MIN_ROUNDS = 3, 3, 10
MIN_KNOWN, RECENT = 2, 9
SAMPLED_ROWS = 500_000
"""The first rung uses about so many rows, which is enough to rank trials, where there are twice as many or more."""


class Rung(NamedTuple):
    """A rung of a trial: after so many rounds, on every `every`-th training row."""

    rounds: int
    every: int = 1


def rungs_of(budget: int, halving: bool, rows: int = 0) -> tuple[Rung, ...]:
    """Return the rungs of a trial: a ninth of its rounds, a third, and all, where that is ten rounds or more.

    Earlier rungs would stop trials that learn slowly: with a learning rate of 0.02, a booster has gone a quarter of the
    way after 14 rounds of 400. Where there are many rows, the first of several rungs uses a part of them, and a
    trial that continues starts anew on all rows.

    Parameters
    ----------
    budget
        The rounds of a whole trial.
    halving
        Whether trials are stopped early; without it there is one rung.
    rows
        The training rows.

    >>> rungs_of(400, halving=True)
    (Rung(rounds=44, every=1), Rung(rounds=133, every=1), Rung(rounds=400, every=1))
    """
    rungs = [Rung(budget)]
    while halving and len(rungs) < MAX_RUNGS and rungs[0].rounds // REDUCTION >= MIN_ROUNDS:
        rungs.insert(0, Rung(rungs[0].rounds // REDUCTION))
    every = rows // SAMPLED_ROWS
    return (Rung(rungs[0].rounds, every), *rungs[1:]) if len(rungs) > 1 and every > 1 else tuple(rungs)


def should_prune(score: float, known: Sequence[float]) -> bool:
    """Decide whether a trial stops: it is not among the best third of the trials that it is compared with.

    Those are the last nine that it may know. Proposals get better during the search: compared with all earlier trials,
    two in three would continue.

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
