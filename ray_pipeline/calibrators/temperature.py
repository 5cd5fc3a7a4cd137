"""Temperature scaling (Guo, 2017): log odds divided by one number, so that no decision at 0.5 and no ranking changes."""

from typing import Literal, Self

import numpy as np
from pydantic import Field

from ray_pipeline.calibrators._base import TINY, Calibrator, Scores, logit, sigmoid, softmax


class Temperature(Calibrator):
    """Above 1 it makes scores less sure, below 1 surer; kept within [0.05, 20]."""

    kind: Literal["temperature"] = "temperature"
    temperature: float = Field(gt=0)

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """See `Calibrator`; the loss is convex in 1/temperature, whose slope is brought to 0 by bisection."""
        odds = np.stack([np.zeros_like(score), logit(score)], axis=1) if score.ndim == 1 else np.log(np.clip(score, TINY, 1.0))
        true = odds[np.arange(len(label)), label.astype(np.intp)]
        low, high = 1 / 20, 20.0
        for _ in range(60):
            middle = (low + high) / 2
            expected = (softmax(middle * odds) * odds).sum(axis=1)
            low, high = (middle, high) if weight @ (expected - true) < 0 else (low, middle)
        return cls(temperature=float(2 / (low + high)))

    def apply(self, score: Scores) -> Scores:
        """See `Calibrator`."""
        if score.ndim == 1:
            return sigmoid(logit(score) / self.temperature)
        return softmax(np.log(np.clip(score, TINY, 1.0)) / self.temperature)
