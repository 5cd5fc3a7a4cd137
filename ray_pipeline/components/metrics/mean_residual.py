"""Mean residual."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class MeanResidual(SumMetric):
    """Mean of label minus prediction: above 0 where the model predicts too little; of probabilities, calibration in the
    large. It has no best direction."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "regression")
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    objective: ClassVar[bool] = False

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the residual, shape (n, 2)."""
        return np.stack([np.ones(len(label)), label - score], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total residual."""
        return divide(sums[..., 1], sums[..., 0])
