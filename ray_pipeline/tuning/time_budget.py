"""The clock of a search with `search.time`: backtests and refit are part of it, so trials end early enough for them."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.values import Part

START_S, START_SHARE = 7.0, 0.12
"""What a refit takes beside its training: the end of the slots, the ranking of families, the start of its processes and
of the backtest's, the matrix, the proof. Of a short time no more than this share is kept for it."""
MAX_BACKTESTS = 3
BACKTESTS, SHARE_OF_SEARCH = {0: 0.0, 1: 1.5, MAX_BACKTESTS: 2.2}, 0.15
"""Seconds of so many backtests for each second of the refit (they have fewer and fewer rows), and the share of the time
that they take at most."""
MEMBERS_SHARE, LEAST_SHARE = 0.25, 0.05
"""The share of the time that is kept at most for the refits of an ensemble's members beside the best trial, and the
share that they may take where the trials have left less."""
SMALL_TABLE_ROWS = 5_000
"""On 1,875 rows x 73 columns, 600 rounds take 0.97 s with one thread and 1.07 s with two (LightGBM), 2.4 and 2.4 s
(XGBoost), and CatBoost takes 16 and 20 s of processor time. So members are fitted side by side."""
SPEEDUP_EXPONENT = 0.8
"""A fit on n times the threads is about n to this power times as fast."""


@dataclass(kw_only=True)
class TimeBudget:
    """The seconds that a search still has, less what the refit of its best trial will take."""

    limit: float
    """Seconds of search and refit together; infinite without a limit."""
    refit_share: float
    """Seconds of the refit for each second that the best trial trained."""
    backtests: int = 0
    """How many backtests precede the refit at most: none, one, or `MAX_BACKTESTS`."""
    refits_at_once: int = 1
    """How many members of an ensemble are refitted side by side."""
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, spec: Spec, *, refit_share: float = 1.0, refits_at_once: int = 1) -> Self:
        """Return the budget of a search that begins now."""
        return cls(
            limit=math.inf if spec.search.time is None else float(spec.search.time),
            refit_share=refit_share,
            refits_at_once=refits_at_once,
            backtests=0 if spec.fit.on != "auto" else MAX_BACKTESTS if spec.split.by == "time" else 1,
        )

    @property
    def left(self) -> float:
        """Seconds that trials and the training of the refit have together."""
        if math.isinf(self.limit):
            return math.inf
        return self.limit - min(START_S, START_SHARE * self.limit) - (time.monotonic() - self.began)

    def for_trials(self, best: TrialResult | None, others: Sequence[TrialResult] = ()) -> float:
        """Seconds left for trials, if these are refitted, after the backtests of the best one if there are any."""
        if best is None:
            return self.left
        own, together = self._refit(best), self._refits([best, *others])
        return self.left - self._backtests(own) - min(together, own + MEMBERS_SHARE * self.limit)

    def for_refits(self, winner: TrialResult, first: TrialResult) -> float:
        """Seconds left for the refits of an ensemble, once the trials have ended.

        The backtests are those of the winner, and `first` is the member with the best metric: what it takes is there.
        """
        least, most = (self._refit(first) + share * self.limit for share in (LEAST_SHARE, MEMBERS_SHARE))
        return min(max(self.left - self._backtests(self._refit(winner)), least), most)

    def _refit(self, trial: TrialResult) -> float:
        return self.refit_share * trained_s(trial)

    def _refits(self, trials: Sequence[TrialResult]) -> float:
        seconds = [self._refit(trial) for trial in trials]
        return max(*seconds, sum(seconds) / self.refits_at_once)

    def _backtests(self, refit: float) -> float:
        return min(BACKTESTS[self.backtests] * refit, SHARE_OF_SEARCH * self.limit)


def trained_s(result: TrialResult) -> float:
    """The seconds that a trial took to its best round."""
    last = result.rungs[-1][0] if result.rungs else result.rounds
    return result.seconds * min(1.0, result.rounds / max(last, 1))


def refit_share(layout: Layout, rows: Mapping[Part, int], spec: Spec) -> float:
    """The seconds of a refit for each second of the trial.

    Parameters
    ----------
    layout
        Threads of a trial and of the refit.
    rows
        The rows of each part.
    spec
        Says on which of them the refit is; its rounds grow alike.
    """
    refitted = rows["train"] + (rows["validation"] if spec.fit.on != "train" else 0)
    threads = threads_of_member(rows, layout)
    return float((refitted / rows["train"]) ** 2 / (threads / layout.threads) ** SPEEDUP_EXPONENT)


def threads_of_member(rows: Mapping[Part, int], layout: Layout) -> int:
    """Return the threads of a member's fit: all of the final fit, or of a small table as many as a trial has.

    They do not depend on the number of slots or members, so the bytes of the models do not either.

    Parameters
    ----------
    rows
        The rows of each part.
    layout
        The threads of a trial and of the final fit.
    """
    if layout.workers > 1 or layout.gpus or rows["train"] + rows["validation"] > SMALL_TABLE_ROWS:
        return layout.fit_threads
    return min(layout.threads, layout.fit_threads)


def refits_at_once(layout: Layout, rows: Mapping[Part, int]) -> int:
    """Return how many members of an ensemble are refitted side by side, on the threads of the final fit."""
    return layout.fit_threads // threads_of_member(rows, layout)


def seconds_of_step(left: float, left_for_own: float, share: float, spent: float) -> float:
    """The seconds for the next step of a trial: after it there is time for the refit of the best trial, or of this one.

    Parameters
    ----------
    left
        Seconds until the refit of the best trial so far must begin.
    left_for_own
        Seconds for this trial and its own refit together.
    share
        Seconds of its refit for each second of the trial.
    spent
        Seconds that the trial has trained before.

    Examples
    --------
    >>> seconds_of_step(50.0, 60.0, 1.0, 20.0)
    20.0
    """
    return min(left, (left_for_own - share * spent) / (1 + share)) if math.isfinite(left_for_own) else left
