"""Mean number of classes in the prediction sets."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class SetSize(MeanMetric):
    """Mean number of classes in a row's set: of two models of one coverage, the one of smaller sets says more."""

    tasks = ("binary", "multiclass")
    better = "lower"
    range = (1.0, float("inf"))
    of_regions = True

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The number of classes in each row's set."""
        return np.asarray(score[:, 1])
