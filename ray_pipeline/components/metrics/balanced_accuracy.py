"""Balanced accuracy."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class BalancedAccuracy(SumMetric):
    """Mean over the classes of the share of its rows decided rightly; undefined where a class has no rows."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    decides: ClassVar[bool] = True
    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One-hot class of the row, then the same where it is decided rightly; shape (n, 2 classes)."""
        classes = score.shape[1] if score.ndim == 2 else 2
        decision = score.argmax(axis=1) if score.ndim == 2 else score >= threshold
        is_class = np.eye(classes)[label.astype(np.intp)]
        return np.hstack([is_class, is_class * (decision == label)[:, None]])

    def value(self, sums: Numbers) -> Numbers:
        """From weight and right weight of each class."""
        rows, right = np.split(sums, 2, axis=-1)
        return np.asarray(divide(right, rows).mean(axis=-1))
