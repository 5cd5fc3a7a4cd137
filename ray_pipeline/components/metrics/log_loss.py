"""Log loss."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class LogLoss(MeanMetric):
    """Mean negative log probability of the true class, in nats; probabilities are kept 2.2e-16 away from 0 and 1."""

    tasks = ("binary", "multiclass")
    better = "lower"
    range = (0.0, float("inf"))

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The loss of each row."""
        true = (
            score[np.arange(len(label)), label.astype(np.intp)]
            if score.ndim == 2
            else np.where(label == 1, score, 1 - score)
        )
        tiny = np.finfo(np.float64).eps
        return np.asarray(-np.log(np.clip(true, tiny, 1 - tiny)))
