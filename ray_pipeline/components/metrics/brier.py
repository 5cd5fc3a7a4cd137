"""Brier score."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class Brier(SumMetric):
    """Mean squared distance between probability and label (Brier, 1950): in [0, 1]; summed over classes, so in [0, 2],
    for multiclass."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the row's squared distance, shape (n, 2)."""
        distance = (
            score - np.eye(score.shape[1])[label.astype(np.intp)] if score.ndim == 2 else (score - label)[:, None]
        )
        return np.stack([np.ones(len(label)), (distance**2).sum(axis=1)], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total squared distance."""
        return divide(sums[..., 1], sums[..., 0])
