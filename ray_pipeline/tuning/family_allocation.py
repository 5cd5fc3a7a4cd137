"""Which family has the next trial: the best one, as long as the others together cost less than its own trials.

Every family begins with its default. From then on trial i depends on the finished trials up to i - window alone, so
that one slot and eight decide alike (where the search is not deterministic, on all that have ended). It goes to the
leader, or to another family while the trials of the others, past their defaults, cost no more with it than the
leader's own trials do. A trial costs rounds x the family's unit cost, which is what its default took per round:
measured once, kept in the journal, and so repeated by a rerun.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ray_pipeline.tuning.sampler import Proposal, Sampler, TrialResult


@dataclass(kw_only=True)
class FamilyAllocation:
    """Asks and prunes for one family or several; it remembers, as `Sampler` does."""

    families: Sequence[Sampler]
    """In the order in which the spec names them."""
    num_trials: int
    window: int | None
    results: dict[int, TrialResult] = field(default_factory=dict)
    given: list[tuple[str, int]] = field(default_factory=list)
    """For each trial its family and its number within the family."""

    def ask(self, known: Mapping[str, Any] | None = None) -> Proposal | None:
        """The next trial, or None while it must wait for an earlier one (or there is none left: see `exhausted`).

        `known` is the trial as a journal has it: without a window its family and hyperparameters are taken from there.
        """
        trial = len(self.given)
        if self.exhausted or self._waits(trial):
            return None
        known = known if self.window is None else None
        family = self._of[known["family"] if known else self._chosen(trial)]
        proposal = family.ask(known and known["params"])
        if proposal is None:
            return None
        self.given.append((family.family, proposal.trial))
        return replace(proposal, trial=trial)

    @property
    def exhausted(self) -> bool:
        """Every trial has been proposed."""
        return len(self.given) >= self.num_trials

    def should_prune(self, trial: int, rung: int, value: float) -> bool:
        """Whether a trial is stopped at a rung, compared with the trials of its own family."""
        family, number = self.given[trial]
        return self._of[family].should_prune(number, rung, value)

    def tell(self, result: TrialResult) -> None:
        """Take in how a trial ended."""
        self.results[result.trial] = result
        family, number = self.given[result.trial]
        self._of[family].tell(replace(result, trial=number))

    def forget(self, trial: int) -> None:
        """The trial is to be run again."""
        family, number = self.given[trial]
        del self.results[trial], self._of[family].results[number]

    @property
    def best(self) -> TrialResult | None:
        """The finished trial with the best score of all, the earlier of equals."""
        return self._best(self.results)

    @property
    def finalists(self) -> Mapping[str, TrialResult]:
        """The best finished trial of each family that has one, best first."""
        found = {
            p.family: self._best({i: o for i, o in self.results.items() if o.family == p.family}) for p in self.families
        }
        ranked = sorted((o for o in found.values() if o), key=lambda o: (-self._worth(o), o.trial))
        return {result.family: result for result in ranked}

    @property
    def better(self) -> str:
        """Whether `higher` or `lower` scores win."""
        return self.families[0].better

    @property
    def _of(self) -> Mapping[str, Sampler]:
        return {sampler.family: sampler for sampler in self.families}

    def _best(self, results: Mapping[int, TrialResult]) -> TrialResult | None:
        finished = [o for o in results.values() if o.status == "completed" and o.metric is not None]
        return max(finished, key=lambda o: (self._worth(o), -o.trial), default=None)

    def _worth(self, result: TrialResult) -> float:
        value = -np.inf if result.metric is None else result.metric
        return value if self.better == "higher" else -value

    def _chosen(self, trial: int) -> str:
        """The family of this trial, by what is known when it is proposed."""
        names = [sampler.family for sampler in self.families]
        if trial < len(names):
            return names[trial]
        known = self.results if self.window is None else {i: self.results[i] for i in range(self._known_by(trial))}
        worth = {
            name: max(
                (self._worth(o) for o in known.values() if o.family == name and o.status == "completed"),
                default=-np.inf,
            )
            for name in names
        }
        leader = max(names, key=lambda name: (worth[name], -names.index(name)))
        others = [name for name in names if name != leader and np.isfinite(worth[name])]
        if not others:
            return leader
        # The one that had the least of others' trials; of equals the better one.
        challenger = min(others, key=lambda name: (self._trials(name), -worth[name]))
        spent = sum(self._trials(name) * self._price(name) for name in others)
        return challenger if spent + self._price(challenger) <= self._trials(leader) * self._price(leader) else leader

    def _waits(self, trial: int) -> bool:
        """Whether an earlier trial must end before this one is proposed. Without a window one finished default is
        enough: a slow family holds nobody up."""
        if self.window is None and any(o.status == "completed" for o in self.results.values()):
            return False
        return any(i not in self.results for i in range(self._known_by(trial)))

    def _known_by(self, trial: int) -> int:
        """How many trials must have ended before this one is proposed: those before its window, and all
        defaults before the first trial that is allocated."""
        before_window = 0 if self.window is None else max(0, trial - self.window + 1)
        return max(before_window, len(self.families)) if trial >= len(self.families) > 1 else before_window

    def _trials(self, family: str) -> int:
        """Trials given to the family past its default."""
        return sum(name == family for name, _ in self.given) - 1

    def _price(self, family: str) -> float:
        """Seconds that a whole trial of the family is reckoned at: what its default took, which is its rounds x its
        unit cost."""
        return max(self.results[[name for name, _ in self.given].index(family)].seconds, 1e-3)
