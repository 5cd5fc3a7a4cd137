"""Kolmogorov-Smirnov distance."""

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Numbers, Vector, divide
from ray_pipeline.components.metrics._rank import Histogram, RankMetric


class KS(RankMetric):
    """The largest distance between the scores' distributions of positives and negatives: the best true less false
    positive rate, either way."""

    better = "higher"

    def of(self, rows: Histogram) -> Numbers:
        """See `RankMetric`."""
        both = (rows.negatives.sum(axis=-1) > 0) & (rows.positives.sum(axis=-1) > 0)
        return np.where(both, np.abs(_apart(rows)).max(axis=-1, initial=0.0), np.nan)

    def moved(self, rows: Histogram, positive: Vector, place: NDArray[np.intp]) -> Vector:
        """The cut of the largest distance stays where it is, so that the distance is a difference of two rates."""
        apart = _apart(rows)
        cut = int(np.abs(apart).argmax())
        at_or_below = np.where(place <= cut, 1.0, 0.0)
        shares = [divide(side[: cut + 1].sum(), side.sum()) for side in (rows.negatives, rows.positives)]
        of_negatives, of_positives = (
            divide(at_or_below - share, side.sum())
            for share, side in zip(shares, (rows.negatives, rows.positives), strict=True)
        )
        return np.asarray(np.sign(apart[cut]) * np.where(positive == 1, -of_positives, of_negatives))


def _apart(rows: Histogram) -> Numbers:
    """Share of negatives less share of positives at or below each place."""
    negatives, positives = (
        divide(np.cumsum(side, axis=-1), side.sum(axis=-1, keepdims=True)) for side in (rows.negatives, rows.positives)
    )
    return np.asarray(negatives - positives)
