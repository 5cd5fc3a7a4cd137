"""Root mean squared error."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class RMSE(MeanMetric):
    """Root of the mean squared residual, in the label's unit."""

    tasks = ("regression",)
    better = "lower"
    range = (0.0, float("inf"))

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The squared residual of each row."""
        return (label - score) ** 2

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total squared residual; the absolute value lets `gradient` step past 0."""
        return np.asarray(np.sqrt(np.abs(super().value(sums))))
