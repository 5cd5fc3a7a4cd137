"""Root mean squared logarithmic error."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class RMSLE(MeanMetric):
    """Root of the mean squared difference of log(1 + x); undefined where a label or a prediction is -1 or less."""

    tasks = ("regression",)
    better = "lower"
    range = (0.0, float("inf"))

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The squared difference of the logarithms of each row."""
        label, score = (np.where(x > -1, x, np.nan) for x in (label, score))
        apart = np.log1p(label) - np.log1p(score)
        near = np.log1p(np.maximum((label - score) / (1 + score), -0.5))  # two logarithms of near numbers lose digits
        return np.asarray(np.where(np.abs(apart) < 0.5, near, apart) ** 2)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total squared difference; the absolute value lets `gradient` step past 0."""
        return np.asarray(np.sqrt(np.abs(super().value(sums))))
