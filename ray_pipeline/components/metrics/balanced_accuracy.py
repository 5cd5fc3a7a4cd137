"""Balanced accuracy."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, Vector, divide


class BalancedAccuracy(SumMetric):
    """Mean over the classes of the share of its rows decided rightly.

    Of several classes those without rows do not count, as in scikit-learn. Of two, both must have rows.
    """

    tasks = ("binary", "multiclass")
    decides = True
    better = "higher"

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One-hot class of the row, then the same where it is decided rightly; shape (n, 2 classes)."""
        classes = score.shape[1] if score.ndim == 2 else 2
        decision = score.argmax(axis=1) if score.ndim == 2 else score >= threshold
        is_class = np.eye(classes)[label.astype(np.intp)]
        return np.hstack([is_class, is_class * (decision == label)[:, None]])

    def value(self, sums: Numbers) -> Numbers:
        """From weight and right weight of each class."""
        rows, right = np.split(sums, 2, axis=-1)
        share = divide(right, rows)
        if rows.shape[-1] == 2:
            return np.asarray(share.mean(axis=-1))
        known = rows > 0
        return divide(share.sum(axis=-1, where=known), known.sum(axis=-1).astype(float))
