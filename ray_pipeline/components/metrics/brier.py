"""Brier score."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class Brier(MeanMetric):
    """Mean squared distance between probability and label (Brier, 1950): in [0, 1]; summed over classes, so in [0, 2],
    for multiclass."""

    tasks = ("binary", "multiclass")
    better = "lower"
    range = (0.0, 2.0)

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The squared distance of each row."""
        distance = (
            score - np.eye(score.shape[1])[label.astype(np.intp)] if score.ndim == 2 else (score - label)[:, None]
        )
        return np.asarray((distance**2).sum(axis=1))
