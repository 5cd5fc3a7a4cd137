"""Area under the ROC curve."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.metrics._base import HALF, Numbers, RankMetric, below, divide, histograms
from ray_pipeline.values import Vector


class AUC(RankMetric):
    """The chance that a random positive scores above a random negative, ties counting one half (Mann & Whitney, 1947)."""

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def value(self, sums: Numbers) -> Numbers:
        """From histograms of negatives and positives, shape (..., 2, bins); rows of one bin count as ties."""
        negatives, positives = sums[..., 0, :], sums[..., 1, :]
        won = (positives * below(negatives)).sum(axis=-1)
        return divide(won, negatives.sum(axis=-1) * positives.sum(axis=-1))

    def influence(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> Vector:
        """Each row's share of pairs won, against the mean (DeLong, DeLong & Clarke-Pearson, 1988)."""
        place = np.unique(score, return_inverse=True)[1]
        negatives, positives = sums = histograms(label, place, weight)
        value = self.value(sums)
        of_positives = divide(below(negatives), negatives.sum()) - value
        of_negatives = 1 - divide(below(positives), positives.sum()) - value
        return np.asarray(weight * np.where(label == 1, of_positives[place] / positives.sum(), of_negatives[place] / negatives.sum()))
