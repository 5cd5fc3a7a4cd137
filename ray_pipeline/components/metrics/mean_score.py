"""Mean score."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class MeanScore(SumMetric):
    """Mean probability of the positive class; neither more nor less of it is good, only gaps between groups mean
    something."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary",)
    better: ClassVar[Literal["lower", "higher"]] = "higher"
    objective: ClassVar[bool] = False

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the score, shape (n, 2)."""
        return np.stack([np.ones(len(label)), score], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total score."""
        return divide(sums[..., 1], sums[..., 0])
