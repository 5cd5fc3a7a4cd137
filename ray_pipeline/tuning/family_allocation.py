"""Which family gets the next trial: the best one, as long as the others together cost less than its own trials.

Every family begins with its default. After that, the family of trial i depends only on the finished trials up to
i - window, so that one slot and eight take the same decisions (a search that is not deterministic uses all finished
trials). The trial goes to the leader; it goes to another family where the trials of the others past their defaults,
this one included, cost no more than the leader's own. Every trial of a family is counted with the cost that the family
declares: measured seconds would depend on what else the machine does. A search that is not deterministic counts with
the seconds that the family's default took.

A search that is not deterministic also pauses a default at a rung, where it would take more than its family's share of
the time before the others have had several trials; its model competes where it never goes on. A default that does not
reach its first rung within two shares is cut there: its model competes, and the family has further trials only while it
leads.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ray_pipeline.tuning.sampler import Proposal, Sampler, TrialResult

MIN_SECONDS = 1e-3
CUT_SHARES = 2.0
"""Shares of the time in which a default must reach its first rung. On two slots this is as much as the others have."""
CUT = "its family's share of search.time was up"
SEVERAL = 3
"""Trials of each other family, on average, before a default may take more than its share of the time."""


@dataclass(kw_only=True)
class FamilyAllocation:
    """Proposes and stops trials of one family or several; it has state, like `Sampler`."""

    families: Mapping[str, Sampler]
    """The sampler of each family, in the order of the spec."""
    num_trials: int
    window: int | None
    costs: Mapping[str, float]
    """What a trial of each family costs, in any unit; used where there is a window."""
    results: dict[int, TrialResult] = field(default_factory=dict)
    assigned: list[tuple[str, int]] = field(default_factory=list)
    """The family of each trial, and the trial's number within the family."""
    _best: dict[str, TrialResult] = field(default_factory=dict)
    """The best completed trial of each family: kept, since each trial asks for it several times."""

    def __post_init__(self) -> None:
        self._compare_all()

    def ask(self, recorded: Mapping[str, Any] | None = None) -> Proposal | None:
        """Propose the next trial.

        Parameters
        ----------
        recorded
            The trial's record in the journal: without a window, family and hyperparameters are taken from it.

        Returns
        -------
        Proposal or None
            None while an earlier trial must finish first, and where every trial has been proposed (`exhausted`).
        """
        trial = len(self.assigned)
        if self.exhausted or self._waits(trial):
            return None
        recorded = recorded if self.window is None else None
        family = recorded["family"] if recorded else self._next_family(trial)
        proposal = self.families[family].ask(recorded and recorded["params"])
        if proposal is None:
            return None
        self.assigned.append((family, proposal.trial))
        return replace(proposal, trial=trial)

    @property
    def exhausted(self) -> bool:
        """Whether every trial has been proposed."""
        return len(self.assigned) >= self.num_trials

    def report(self, trial: int, metric: float, *, ended: bool) -> None:
        """Record that a trial has come to its next rung; it is compared with the trials of its own family.

        Parameters
        ----------
        trial
            The number of the trial.
        metric
            Its metric at the rung; NaN if it failed before it came there.
        ended
            Whether the trial ends there by itself.
        """
        family, number = self.assigned[trial]
        sampler = self.families[family]
        sampler.pruner.report(number, sampler.sign * metric, ended=ended)

    def judge(self) -> list[tuple[int, int]]:
        """Return the trials that stop, each with the index of the rung where it does."""
        judged = {name: sampler.pruner.judge() for name, sampler in self.families.items()}
        stopped = [
            (self.assigned.index((name, number)), rung) for name, some in judged.items() for number, rung in some
        ]
        return sorted(stopped)

    def is_judged(self, trial: int) -> bool:
        """Whether it is decided at each rung that the trial has come to whether it goes on."""
        family, number = self.assigned[trial]
        return self.families[family].pruner.is_judged(number)

    def share(self, trial: int, limit: float) -> float:
        """Return the seconds that a default has before the other families come first; infinite for other trials.

        Parameters
        ----------
        trial
            The number of the trial.
        limit
            The seconds of the whole search; each family has an equal share.
        """
        family, number = self.assigned[trial]
        is_default = number == 0 and self.window is None and len(self.families) > 1
        return limit / len(self.families) if is_default and not self.others_had_several(family) else math.inf

    def others_had_several(self, family: str) -> bool:
        """Whether the other families have had several trials."""
        finished = sum(result.family != family for result in self.results.values())
        return finished >= SEVERAL * (len(self.families) - 1)

    def tell(self, result: TrialResult) -> None:
        """Record the result of a trial."""
        self.results[result.trial] = result
        self._compare(result)
        family, number = self.assigned[result.trial]
        self.families[family].tell(replace(result, trial=number))

    def forget(self, trial: int) -> None:
        """Remove the result of a trial that must be run again."""
        family, number = self.assigned[trial]
        del self.results[trial], self.families[family].results[number]
        self._compare_all()

    @property
    def best(self) -> TrialResult | None:
        """The completed trial with the best metric, the earlier of equals."""
        return next(iter(self.finalists.values()), None)

    @property
    def finalists(self) -> Mapping[str, TrialResult]:
        """The best completed trial of each family that has one, best first."""
        return dict(sorted(self._best.items(), key=lambda item: self._rank(item[1])))

    def candidates(self, number: int) -> list[TrialResult]:
        """Return the best completed trials of each family, `number` of each, the best first."""
        if not number:
            return []
        completed = [one for one in self.results.values() if one.status == "completed" and one.metric is not None]
        ranked = sorted(completed, key=self._rank)
        of_family = {name: [one for one in ranked if one.family == name][:number] for name in self.families}
        return [one for one in ranked if one in of_family[one.family]]

    @property
    def sign(self) -> float:
        """The factor that makes higher metrics the better ones."""
        return next(iter(self.families.values())).sign

    def _compare_all(self) -> None:
        """Find the best of each family among all results."""
        self._best.clear()
        for result in self.results.values():
            self._compare(result)

    def _compare(self, result: TrialResult) -> None:
        """Keep the result if it is its family's best."""
        if result.status == "completed" and result.metric is not None:
            best = self._best.get(result.family)
            if best is None or self._rank(result) < self._rank(best):
                self._best[result.family] = result

    def _rank(self, result: TrialResult) -> tuple[float, int]:
        """Sort key: the best metric first, the earlier of equals."""
        return -self._worth(result), result.trial

    def _worth(self, result: TrialResult) -> float:
        """The metric of a trial, higher is better."""
        value = -np.inf if result.metric is None else result.metric
        return self.sign * value

    def _next_family(self, trial: int) -> str:
        """The family of this trial, from the results that may be known when it is proposed."""
        names = list(self.families)
        if trial < len(names) or len(names) == 1:
            return names[trial % len(names)]
        known = [o for i, o in self.results.items() if self.window is None or i < self._num_required(trial)]
        completed = [o for o in known if o.status == "completed"]
        worth = {name: max((self._worth(o) for o in completed if o.family == name), default=-np.inf) for name in names}
        leader = max(names, key=lambda name: (worth[name], -names.index(name)))
        cut = {o.family for o in known if o.why == CUT}
        others = [name for name in names if name != leader and name not in cut and np.isfinite(worth[name])]
        if not others:
            return leader
        # The one with the fewest trials; of equals the better one.
        challenger = min(others, key=lambda name: (self._num_trials(name), -worth[name]))
        spent = sum(self._num_trials(name) * self._cost(name) for name in others)
        allowed = self._num_trials(leader) * self._cost(leader)
        return challenger if spent + self._cost(challenger) <= allowed else leader

    def _waits(self, trial: int) -> bool:
        """Whether an earlier trial must finish before this one is proposed. Without a window one completed default is
        enough: nothing waits for a slow family."""
        if self.window is None and any(o.status == "completed" for o in self.results.values()):
            return False
        return any(i not in self.results for i in range(self._num_required(trial)))

    def _num_required(self, trial: int) -> int:
        """How many first trials must be finished before this one is proposed: those before its window, and all
        defaults before the first trial that is allocated."""
        before_window = 0 if self.window is None else max(0, trial - self.window + 1)
        return max(before_window, len(self.families)) if trial >= len(self.families) > 1 else before_window

    def _num_trials(self, family: str) -> int:
        """Trials of the family past its default."""
        return sum(name == family for name, _ in self.assigned) - 1

    def _cost(self, family: str) -> float:
        """What a trial of the family is counted with: what it declares; without a window, its default's seconds."""
        if self.window is not None:
            return self.costs[family]
        return max(self.results[[name for name, _ in self.assigned].index(family)].seconds, MIN_SECONDS)
