"""Root mean squared logarithmic error."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class RMSLE(SumMetric):
    """Root of the mean squared difference of log(1 + x); undefined where a label or a prediction is -1 or less."""

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the squared difference of the logarithms, shape (n, 2)."""
        label, score = (np.log1p(np.where(x > -1, x, np.nan)) for x in (label, score))
        return np.stack([np.ones(len(label)), (label - score) ** 2], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total squared difference; the absolute value lets `gradient` step past 0."""
        return np.asarray(np.sqrt(np.abs(divide(sums[..., 1], sums[..., 0]))))
