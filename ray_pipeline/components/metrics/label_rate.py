"""Label rate."""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, ShareMetric
from ray_pipeline.values import Task, Vector


class LabelRate(ShareMetric):
    """Share of the rows that are positive, whatever the model says; between groups it shows what the data themselves
    hold."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary",)
    better: ClassVar[Literal["lower", "higher"]] = "higher"
    objective: ClassVar[bool] = False

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the label, shape (n, 2)."""
        return np.stack([np.ones(len(label)), label], axis=1)

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """Positive weight and total weight."""
        return sums[..., 1], sums[..., 0]
