"""Average precision."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.metrics._base import HALF, Numbers, RankMetric, at_or_above, divide, histograms
from ray_pipeline.values import Vector


class AveragePrecision(RankMetric):
    """Mean, over the positive rows, of the precision among all rows that score at least as high; scikit-learn's definition."""

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def value(self, sums: Numbers) -> Numbers:
        """From histograms of negatives and positives, shape (..., 2, bins); rows of one bin count as ties."""
        precision, _ = _precision(sums)
        positives = sums[..., 1, :]
        return divide((positives * np.nan_to_num(precision)).sum(axis=-1), positives.sum(axis=-1))

    def influence(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> Vector:
        """A row adds its own precision and changes that of every positive at or below its score."""
        place = np.unique(score, return_inverse=True)[1]
        sums = histograms(label, place, weight)
        precision, rows = _precision(sums)
        positives = sums[1]
        of_one = np.cumsum(np.nan_to_num(divide(positives, rows)))
        of_precision = np.cumsum(np.nan_to_num(divide(positives * precision, rows)))
        own = np.where(label == 1, np.nan_to_num(precision)[place] - self.value(sums), 0.0)
        return np.asarray(weight * divide(own + label * of_one[place] - of_precision[place], positives.sum()))


def _precision(sums: Numbers) -> tuple[Numbers, Numbers]:
    positives, rows = at_or_above(sums[..., 1, :]), at_or_above(sums.sum(axis=-2))
    return divide(positives, rows), rows
