"""Mean absolute error."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class MAE(MeanMetric):
    """Mean absolute residual, in the label's unit."""

    tasks = ("regression",)
    better = "lower"
    range = (0.0, float("inf"))

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The absolute residual of each row."""
        return np.abs(label - score)
