"""Expected calibration error."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, Vector, divide

BINS = 15


class ECE(SumMetric):
    """Mean distance between label rate and mean score over 15 bins even in probability, weighted by rows (Naeini 2015,
    Guo 2017).

    Multiclass: of the most probable class, its probability against how often it is right.
    """

    tasks = ("binary", "multiclass")
    better = "lower"

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One, then label minus score in the column of the row's bin; shape (n, 1 + bins)."""
        if score.ndim == 2:
            label, score = (score.argmax(axis=1) == label).astype(np.float64), score.max(axis=1, initial=0.0)
        terms = np.zeros((len(label), 1 + BINS))
        terms[:, 0] = 1
        terms[np.arange(len(label)), 1 + np.clip((score * BINS).astype(np.intp), 0, BINS - 1)] = label - score
        return terms

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and the summed residual of each bin."""
        return divide(np.abs(sums[..., 1:]).sum(axis=-1), sums[..., 0])
