"""Mean absolute percentage error."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, Vector, divide


class MAPE(SumMetric):
    """Mean of |label - prediction| / |label| over the rows whose label is not 0, as a share (0.1 is ten per cent)."""

    tasks = ("regression",)
    better = "lower"
    range = (0.0, float("inf"))

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """Whether the label is not 0, and the relative error; shape (n, 2)."""
        counts = label != 0
        return np.stack([counts, np.nan_to_num(divide(np.abs(label - score), np.abs(label)), posinf=np.inf)], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From the weight of the rows that count and their total error."""
        return divide(sums[..., 1], sums[..., 0])
