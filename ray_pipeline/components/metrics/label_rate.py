"""Label rate."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, ShareMetric, Vector


class LabelRate(ShareMetric):
    """Share of the rows that are positive, whatever the model says; between groups it shows what the data themselves
    hold."""

    tasks = ("binary",)
    better = "higher"
    objective = False

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the label, shape (n, 2)."""
        return np.stack([np.ones(len(label)), label], axis=1)

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """Positive weight and total weight."""
        return sums[..., 1], sums[..., 0]
