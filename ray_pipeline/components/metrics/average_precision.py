"""Average precision."""

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Numbers, Vector, divide
from ray_pipeline.components.metrics._rank import Histogram, RankMetric, at_or_above


class AveragePrecision(RankMetric):
    """Mean, over the positive rows, of the precision among all rows that score at least as high; scikit-learn's
    definition.

    Multiclass: the mean over the classes, each against the rest; undefined where a class has no rows.
    """

    tasks = ("binary", "multiclass")
    better = "higher"

    def of(self, rows: Histogram) -> Numbers:
        """See `RankMetric`; rows of one place count as ties."""
        precision, _ = _precision(rows)
        return divide((rows.positives * np.nan_to_num(precision)).sum(axis=-1), rows.positives.sum(axis=-1))

    def moved(self, rows: Histogram, positive: Vector, place: NDArray[np.intp]) -> Vector:
        """A row adds its own precision and changes that of every positive at or below its score."""
        precision, chosen = _precision(rows)
        of_one = np.cumsum(np.nan_to_num(divide(rows.positives, chosen)))
        of_precision = np.cumsum(np.nan_to_num(divide(rows.positives * precision, chosen)))
        own = np.where(positive == 1, np.nan_to_num(precision)[place] - self.of(rows), 0.0)
        return divide(own + positive * of_one[place] - of_precision[place], rows.positives.sum())


def _precision(rows: Histogram) -> tuple[Numbers, Numbers]:
    chosen = at_or_above(rows.weights.sum(axis=-2))
    return divide(at_or_above(rows.positives), chosen), chosen
