"""Quantiles: of the absolute error, or of the score."""

from abc import ABC
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.components.metrics._base import Numbers, Vector
from ray_pipeline.components.metrics._rank import Histogram, RankMetric

BANDWIDTH = 0.5  # the density at the quantile is that of so many times n ** (2/3) rows on both its sides


class Quantile(RankMetric, ABC):
    """What a share of the rows stays within; between two rows their mean (scikit-learn's `averaged_inverted_cdf`)."""

    quantile: Annotated[float, Field(gt=0, lt=1)]

    def of(self, rows: Histogram) -> Numbers:
        """See `RankMetric`."""
        return _quantile(rows, self.quantile)

    def moved(self, rows: Histogram, positive: Vector, place: NDArray[np.intp]) -> Vector:
        """By the density of the errors around the quantile (Bahadur, 1966); single rows would say 0 or infinity."""
        q, total = self.quantile, rows.positives.sum()
        reach = min(BANDWIDTH * rows.count ** (-1 / 3), q, 1 - q)
        wide = _quantile(rows, q + reach) - _quantile(rows, q - reach)
        within = rows.high[place] <= self.of(rows)
        return np.asarray((q - within) * wide / (2 * reach * total))


def _quantile(rows: Histogram, q: float) -> Numbers:
    """Vectorised over leading axes; inside a place that is a bin, between its ends."""
    weights = rows.positives
    if not weights.shape[-1]:
        return np.full(weights.shape[:-1], np.nan)
    upto = np.cumsum(weights, axis=-1)
    total = upto[..., -1:]
    target, slack = q * total, np.finfo(np.float64).eps * total
    found = []
    for reached in (upto >= target - slack, upto > target + slack):
        place = np.where(
            reached.any(axis=-1),
            reached.argmax(axis=-1),
            (weights > 0).shape[-1] - 1 - (weights[..., ::-1] > 0).argmax(axis=-1),
        )[..., None]
        mass = np.take_along_axis(weights, place, axis=-1)
        before = np.take_along_axis(upto, place, axis=-1) - mass
        share = np.clip(np.divide(target - before, mass, out=np.ones_like(mass), where=mass > 0), 0.0, 1.0)
        found.append((rows.low[place] + share * (rows.high[place] - rows.low[place]))[..., 0])
    return np.where(total[..., 0] > 0, (found[0] + found[1]) / 2, np.nan)
