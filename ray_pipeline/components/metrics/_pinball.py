"""Pinball loss: how good a prediction is as a quantile of the label."""

from abc import ABC
from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class Pinball(SumMetric, ABC):
    """Mean of `quantile` times what the label is above the prediction, or 1 - `quantile` times what it is below
    (Koenker & Bassett, 1978)."""

    quantile: ClassVar[float]
    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the row's loss, shape (n, 2)."""
        above = label - score
        return np.stack([np.ones(len(label)), np.maximum(self.quantile * above, (self.quantile - 1) * above)], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total loss."""
        return divide(sums[..., 1], sums[..., 0])
