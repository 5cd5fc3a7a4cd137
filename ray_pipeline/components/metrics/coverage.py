"""Coverage: the share of rows whose interval or set holds the label."""

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, ShareMetric, Vector


class Coverage(ShareMetric):
    """Rows whose interval or set holds the label, over all rows: at least `intervals.coverage`, up to chance."""

    tasks = ("binary", "multiclass", "regression")
    better = "higher"
    of_regions = True

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One, and 1 where the label is inside."""
        return np.stack([np.ones(len(label)), score[:, 0]], axis=1)

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """Rows inside, and all rows."""
        return sums[..., 1], sums[..., 0]
