"""Accuracy."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, ShareMetric, Vector


class Accuracy(ShareMetric):
    """Share of the rows decided rightly: by the threshold, or for multiclass by the most probable class."""

    tasks = ("binary", "multiclass")
    decides = True
    better = "higher"

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and whether the row is decided rightly, shape (n, 2)."""
        decision = score.argmax(axis=1) if score.ndim == 2 else score >= threshold
        return np.stack([np.ones(len(label)), decision == label], axis=1)

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """Right weight and total weight."""
        return sums[..., 1], sums[..., 0]
