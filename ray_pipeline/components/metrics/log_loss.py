"""Log loss."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class LogLoss(SumMetric):
    """Mean negative log probability of the true class, in nats; probabilities are kept 2.2e-16 away from 0 and 1."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the row's loss, shape (n, 2)."""
        true = (
            score[np.arange(len(label)), label.astype(np.intp)]
            if score.ndim == 2
            else np.where(label == 1, score, 1 - score)
        )
        tiny = np.finfo(np.float64).eps
        return np.stack([np.ones(len(label)), -np.log(np.clip(true, tiny, 1 - tiny))], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total loss."""
        return divide(sums[..., 1], sums[..., 0])
