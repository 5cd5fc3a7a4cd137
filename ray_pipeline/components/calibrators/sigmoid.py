"""Sigmoid calibration on the log odds (Platt, 1999): p = sigmoid(slope * logit(score) + offset)."""

from typing import ClassVar, Self

import numpy as np

from ray_pipeline.components.calibrators._base import Calibrator, Scores, logit, sigmoid


class Sigmoid(Calibrator):
    """Slope and offset of each class (one for binary); multiclass is one against the rest, then scaled to sum 1."""

    candidate: ClassVar[bool] = True

    slope: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """See `Calibrator`; labels are Platt's smoothed targets, so that separable scores do not send the slope to
        infinity."""
        classes = (
            [(label == 1, score)] if score.ndim == 1 else [(label == c, score[:, c]) for c in range(score.shape[1])]
        )
        lines = [_line(positive, logit(its), weight) for positive, its in classes]
        return cls(slope=tuple(a for a, _ in lines), offset=tuple(b for _, b in lines))

    def apply(self, score: Scores) -> Scores:
        """See `Calibrator`."""
        if score.ndim == 1:
            return sigmoid(self.slope[0] * logit(score) + self.offset[0])
        raised = sigmoid(np.asarray(self.slope) * logit(score) + np.asarray(self.offset))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _line(positive: np.ndarray[tuple[int], np.dtype[np.bool_]], odds: Scores, weight: Scores) -> tuple[float, float]:
    """Slope and offset of the least log loss, by Newton's method with step halving; it is convex."""
    positives, negatives = weight[positive].sum(), weight[~positive].sum()
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    inputs = np.stack([odds, np.ones_like(odds)], axis=1)  # (n, 2)

    def loss(line: Scores) -> float:
        z = inputs @ line
        return float(weight @ (np.logaddexp(0.0, z) - target * z))

    line, now = np.array([1.0, 0.0]), loss(np.array([1.0, 0.0]))
    for _ in range(100):
        p = sigmoid(inputs @ line)
        slope = inputs.T @ (weight * (p - target))
        curvature = (inputs * (weight * p * (1 - p))[:, None]).T @ inputs + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        size = 1.0
        while size > 1e-8 and loss(line - size * step) > now:
            size /= 2
        if size <= 1e-8:
            break
        line = line - size * step
        before, now = now, loss(line)
        if before - now <= 1e-14 * abs(before):
            break
    return float(line[0]), float(line[1])
