"""The pruner: the rungs of a trial, and whether it stops there; successive halving (Jamieson & Talwalkar, 2016).

The Tune runner reports a rung to the trial store, which asks the pruner of the trial's family which trials stop.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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

    Those are the last nine that it is given. Proposals get better during the search: compared with all earlier trials,
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


@dataclass
class Pruner:
    """Which trials of a family stop at which rung.

    A trial is compared with the trials before it, by number. Where one of them has not come to the rung yet, the trial
    goes on and is judged when it has. So nothing waits, and one slot and eight take the same decisions in whatever
    order results arrive. A trial that has gone further meanwhile stops at the rung where it was judged.
    """

    enabled: bool = True
    """Without it, no trial stops."""
    in_order: bool = True
    """Whether a trial is compared with the trials before it; else with all that have come to the rung."""
    _scores: dict[int, list[float]] = field(default_factory=dict)
    _passed: dict[int, int] = field(default_factory=dict)
    """How many rungs of a trial are judged: it goes on after each."""
    _ended: set[int] = field(default_factory=set)
    """Trials that come to no further rung; the last rung of such a trial is not judged."""
    _waiting: set[int] = field(default_factory=set)
    """Trials with a rung that is still to be judged."""

    def report(self, trial: int, score: float, *, ended: bool) -> None:
        """Record that a trial has come to its next rung.

        Parameters
        ----------
        trial
            The number of the trial.
        score
            Its metric at the rung; higher is better. NaN if it failed before it came there.
        ended
            Whether the trial ends there by itself.
        """
        self._scores.setdefault(trial, []).append(score)
        self._waiting.add(trial)
        if ended:
            self._ended.add(trial)

    def close(self, trial: int, scores: Iterable[float]) -> None:
        """Record that a trial has ended, with the scores that count."""
        self._scores[trial] = list(scores)
        self._passed[trial] = len(self._scores[trial])
        self._ended.add(trial)
        self._waiting.discard(trial)

    def judge(self) -> list[tuple[int, int]]:
        """Decide what can be decided now; return the trials that stop, each with the index of its rung."""
        stopped = []
        for trial in sorted(self._waiting):
            while not self.is_judged(trial):
                rung = self._passed.get(trial, 0)
                known = self._known(trial, rung)
                if known is None:
                    break
                if self.enabled and should_prune(self._scores[trial][rung], known):
                    self.close(trial, self._scores[trial][: rung + 1])
                    stopped.append((trial, rung))
                else:
                    self._passed[trial] = rung + 1
            if self.is_judged(trial):
                self._waiting.discard(trial)
        return stopped

    def is_judged(self, trial: int) -> bool:
        """Whether no rung that the trial has come to is still to be judged."""
        return self._passed.get(trial, 0) >= len(self._scores.get(trial, ())) - (trial in self._ended)

    def _known(self, trial: int, rung: int) -> list[float] | None:
        """The scores that a trial is compared with, the latest last; None where one of them is not known yet."""
        known: list[float] = []
        others = range(trial) if self.in_order else sorted(self._scores.keys() - {trial})
        for other in reversed(others):
            scores = self._scores.get(other, [])
            if len(scores) > rung and (not self.in_order or self._passed.get(other, 0) >= rung):
                known[:0] = [scores[rung]] if np.isfinite(scores[rung]) else []
                if len(known) == RECENT:
                    break
            elif self.in_order and not (other in self._ended and self.is_judged(other)):
                return None
        return known
