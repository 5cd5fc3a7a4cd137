"""Sigmoid calibration on the log odds (Platt, 1999): p = sigmoid(slope * logit(score) + offset)."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.calibrators._base import Calibrator, Scores, logit, sigmoid


class Sigmoid(Calibrator):
    """Slope and offset of each class (one for binary); multiclass is one against the rest, then scaled to sum 1."""

    candidate: ClassVar[bool] = True

    slope: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """Fit one line for each class; see `Calibrator.fit`.

        Labels are Platt's smoothed targets: the slope stays finite where the scores separate the classes.
        """
        classes = (
            [(label == 1, score)] if score.ndim == 1 else [(label == c, score[:, c]) for c in range(score.shape[1])]
        )
        lines = [_line(positive, logit(its), weight) for positive, its in classes]
        return cls(slope=tuple(a for a, _ in lines), offset=tuple(b for _, b in lines))

    def apply(self, score: Scores) -> Scores:
        """Calibrate."""
        if score.ndim == 1:
            return sigmoid(self.slope[0] * logit(score) + self.offset[0])
        raised = sigmoid(np.asarray(self.slope) * logit(score) + np.asarray(self.offset))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _line(positive: NDArray[np.bool_], odds: Scores, weight: Scores) -> tuple[float, float]:
    """Slope and offset of the least log loss: logistic regression with each row once as positive, once as negative."""
    from sklearn.linear_model import LogisticRegression

    positives, negatives = weight[positive].sum(), weight[~positive].sum()
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # Nearly without a penalty (1 / C): with none at all, scores that are all the same have no unique line.
    model = LogisticRegression(C=1e10, solver="newton-cholesky", tol=1e-10)
    rows, sides = np.tile(odds, 2)[:, None], np.repeat([1, 0], len(odds))
    model.fit(rows, sides, np.concatenate([weight * target, weight * (1 - target)]))
    return float(model.coef_[0, 0]), float(model.intercept_[0])
