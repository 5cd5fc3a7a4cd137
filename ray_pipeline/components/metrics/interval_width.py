"""Mean width of the prediction intervals."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class IntervalWidth(MeanMetric):
    """Mean of `high` less `low`, in the label's unit: of two models of one coverage, the narrower says more."""

    tasks = ("regression",)
    better = "lower"
    range = (0.0, float("inf"))
    of_regions = True

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The width of each row's interval."""
        return np.asarray(score[:, 1])
