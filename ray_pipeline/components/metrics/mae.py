"""Mean absolute error."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class MAE(SumMetric):
    """Mean absolute residual, in the label's unit."""

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the absolute residual, shape (n, 2)."""
        return np.stack([np.ones(len(label)), np.abs(label - score)], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total absolute residual."""
        return divide(sums[..., 1], sums[..., 0])
