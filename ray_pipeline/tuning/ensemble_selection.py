"""Which models make up an ensemble: greedy selection with replacement (Caruana et al., 2004) on validation.

It begins with the best model, and adds in each step the model that makes the mean of the chosen ones best. A model may
be chosen again, which is its weight. The steps up to the best mean count: so the ensemble is never worse on validation
than its best model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from ray_pipeline.components.models._base import Scores
from ray_pipeline.values import Vector

Worth = Callable[[Vector], float]
"""The metric of scores on validation, higher is better."""
STEPS, PATIENCE = 25, 8
"""Choices at most; and how many in turn may bring nothing."""


class Cap(NamedTuple):
    """What the members of an ensemble may cost together, of one kind of cost."""

    key: str
    """The key of the spec that sets it."""
    costs: Vector
    """Of each candidate, shape (candidates,)."""
    most: float

    def allows(self, chosen: frozenset[int]) -> bool:
        """Whether an ensemble of these candidates is within it."""
        return bool(sum(self.costs[one] for one in chosen) <= self.most)


@dataclass(frozen=True, kw_only=True)
class Caps:
    """What an ensemble may cost."""

    members: int
    costs: tuple[Cap, ...] = ()

    def allow(self, chosen: frozenset[int]) -> bool:
        """Whether an ensemble of these candidates is within every cap."""
        return len(chosen) <= self.members and all(cap.allows(chosen) for cap in self.costs)

    def forbidding(self, some: Sequence[frozenset[int]]) -> list[str]:
        """Return the keys of the caps that allow none of these ensembles; of all caps, if only several together do."""
        none = [cap.key for cap in self.costs if not any(map(cap.allows, some))]
        return none or [cap.key for cap in self.costs]


def select(scores: Sequence[Scores], worth: Worth, caps: Caps) -> dict[int, float]:
    """Select members and their weights.

    Parameters
    ----------
    scores
        The scores of each candidate on validation, the best candidate first; each of shape (n,) or (n, classes).
    worth
        The metric. Of equal choices, the candidate that comes first is taken.
    caps
        What the ensemble may cost. The first candidate alone is always allowed.

    Returns
    -------
    dict of int to float
        The weight of each member by its place in `scores`. They add up to 1.

    Examples
    --------
    >>> label = np.array([1.0, 2.0, 3.0])
    >>> select([label + 0.1, label - 0.1, label + 9], lambda score: -abs(score - label).sum(), Caps(members=2))
    {0: 0.5, 1: 0.5}
    """
    chosen, total = [0], np.array(scores[0], np.float64)
    best, length = worth(total), 1
    while len(chosen) < min(STEPS, length + PATIENCE):
        allowed = [one for one in range(len(scores)) if caps.allow(frozenset({*chosen, one}))]
        if not allowed:
            break
        worths = [worth((total + scores[one]) / (len(chosen) + 1)) for one in allowed]
        place = int(np.argmax(worths))
        chosen.append(allowed[place])
        total += scores[allowed[place]]
        if worths[place] > best:
            best, length = worths[place], len(chosen)
    kept = chosen[:length]
    return {one: kept.count(one) / length for one in sorted(set(kept), key=lambda one: (-kept.count(one), one))}


@dataclass(frozen=True, kw_only=True)
class EnsembleMember:
    """One trial of an ensemble."""

    trial: int
    family: str
    weight: float
    """Its share of the score; the weights of all members add up to 1."""
    metric: float
    """Its own metric on validation."""
    value: float
    """The metric of the members up to this one together, by their weights."""
    latency_ms: float
    """Milliseconds to score one encoded row: the median of 50 calls."""
    size_mb: float


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The outcome of the selection: the content of ensemble.json."""

    metric: str
    candidates: int
    """The trials that were there to choose from."""
    single: float
    """The metric of the best trial on validation."""
    value: float
    """The metric of the ensemble on validation; that of the best trial where no ensemble is used."""
    members: tuple[EnsembleMember, ...]
    """By falling weight; none where no ensemble is used."""
    why: str
    """Why no ensemble is used; empty where one is."""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read the object that `asdict` makes."""
        return cls(**{**written, "members": tuple(EnsembleMember(**one) for one in written["members"])})
