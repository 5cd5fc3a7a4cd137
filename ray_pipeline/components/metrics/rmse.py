"""Root mean squared error."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class RMSE(SumMetric):
    """Root of the mean squared residual, in the label's unit."""

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the squared residual, shape (n, 2)."""
        return np.stack([np.ones(len(label)), (label - score) ** 2], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total squared residual; the absolute value lets `gradient` step past 0."""
        return np.asarray(np.sqrt(np.abs(divide(sums[..., 1], sums[..., 0]))))
