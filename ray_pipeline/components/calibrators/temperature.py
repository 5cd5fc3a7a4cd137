"""Temperature scaling (Guo, 2017): log odds divided by one number; no ranking and no decision at 0.5 changes."""

from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from ray_pipeline.components.calibrators._base import TINY, Calibrator, Scores, logit, sigmoid, softmax


class Temperature(Calibrator):
    """A temperature above 1 brings scores closer to 0.5, one below 1 further away; kept within [0.05, 20]."""

    candidate: ClassVar[bool] = True

    temperature: float = Field(gt=0)

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """Fit the temperature; see `Calibrator.fit`. The loss is convex in 1/temperature: its slope has one root."""
        from scipy.optimize import brentq

        odds = logit(score) if score.ndim == 1 else np.log(np.clip(score, TINY, 1.0))
        true = odds * label if score.ndim == 1 else odds[np.arange(len(label)), label.astype(np.intp)]

        def slope(inverse: float) -> float:
            expected = (
                sigmoid(inverse * odds) * odds if score.ndim == 1 else (softmax(inverse * odds) * odds).sum(axis=1)
            )
            return float(weight @ (expected - true))

        low, high = 1 / 20, 20.0
        if slope(low) >= 0:
            return cls(temperature=1 / low)
        return cls(temperature=1 / (high if slope(high) <= 0 else brentq(slope, low, high, xtol=1e-12)))

    def apply(self, score: Scores) -> Scores:
        """Calibrate."""
        if score.ndim == 1:
            return sigmoid(logit(score) / self.temperature)
        return softmax(np.log(np.clip(score, TINY, 1.0)) / self.temperature)
