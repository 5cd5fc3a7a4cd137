"""Isotonic calibration: scikit-learn's nondecreasing function of the least squared error, joined by straight lines."""

from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from ray_pipeline.components.calibrators._base import Calibrator, Scores

Knots = tuple[tuple[float, ...], ...]


class Isotonic(Calibrator):
    """Knots of each class (one list for binary); multiclass is one against the rest, then scaled to sum 1."""

    candidate: ClassVar[bool] = True

    score: Knots
    probability: Knots

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """Fit one curve for each class; see `Calibrator.fit`. Squared error and log loss have the same solution."""
        from sklearn.isotonic import IsotonicRegression

        classes = (
            [(label == 1, score)] if score.ndim == 1 else [(label == c, score[:, c]) for c in range(score.shape[1])]
        )
        curves = [
            IsotonicRegression(y_min=0, y_max=1).fit(its, positive, sample_weight=weight) for positive, its in classes
        ]
        return cls(
            score=tuple(tuple(curve.X_thresholds_.tolist()) for curve in curves),
            probability=tuple(tuple(curve.y_thresholds_.tolist()) for curve in curves),
        )

    def apply(self, score: Scores) -> Scores:
        """Calibrate; scores beyond the fitted range take the values at its ends."""
        if score.ndim == 1:
            return np.interp(score, *self._curves[0])
        raised = np.stack(
            [np.interp(score[:, c], x, y) for c, (x, y) in enumerate(self._curves)],
            axis=1,
        )
        total = raised.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, raised / np.where(total > 0, total, 1.0), 1.0 / score.shape[1]))

    @cached_property
    def _curves(self) -> list[tuple[Scores, Scores]]:
        """The knots of each class as arrays."""
        return [(np.array(x), np.array(y)) for x, y in zip(self.score, self.probability, strict=True)]
