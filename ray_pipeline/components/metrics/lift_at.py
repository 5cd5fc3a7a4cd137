"""Lift: how many times more positives are among the highest scores than among all rows."""

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.components.metrics._base import Aliases, Numbers, Vector, divide
from ray_pipeline.components.metrics._rank import Histogram, RankMetric, at_or_above

BANDWIDTH = 0.5  # the label rate at the cut is that of so many times n ** (2/3) rows on both its sides


class LiftAt(RankMetric):
    """Rate of positives among the `share` of the rows that score highest, divided by the rate among all rows.

    Tied rows at the cut count in part.
    """

    aliases: ClassVar[Aliases] = {
        "lift_at_1": {"share": 0.01},
        "lift_at_5": {"share": 0.05},
        "lift_at_10": {"share": 0.1},
    }

    better = "higher"
    range = (0.0, float("inf"))

    share: Annotated[float, Field(gt=0, le=1)]

    def of(self, rows: Histogram) -> Numbers:
        """See `RankMetric`."""
        return divide((rows.positives * self._taken(rows)).sum(axis=-1), self.share * rows.positives.sum(axis=-1))

    def moved(self, rows: Histogram, positive: Vector, place: NDArray[np.intp]) -> Vector:
        """A row adds itself and pushes the cut, where the label rate is taken over the rows nearby: of one row it is 0
        or 1."""
        taken, total = self._taken(rows)[place], rows.weights.sum()
        caught = divide((rows.positives * self._taken(rows)).sum(), rows.positives.sum())
        rank = at_or_above(rows.weights.sum(axis=-2)) / total
        near = np.abs(rank - self.share) <= max(
            BANDWIDTH * rows.count ** (-1 / 3), float(np.abs(rank - self.share).min(initial=1.0))
        )
        rate = divide(rows.positives[near].sum(), rows.weights[:, near].sum())
        return divide(
            positive * taken + rate * (self.share - taken) - caught * positive, self.share * rows.positives.sum()
        )

    def _taken(self, rows: Histogram) -> Numbers:
        """Which part of each place is among the highest, in [0, 1]."""
        weights = rows.weights.sum(axis=-2)
        from_above = at_or_above(weights)
        left = self.share * weights.sum(axis=-1, keepdims=True) - (from_above - weights)
        return np.clip(np.nan_to_num(divide(left, weights)), 0.0, 1.0)
