"""True positive rate."""

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class TruePositiveRate(Rate):
    """Share of the positive rows that are selected; undefined where none is positive."""

    better = "higher"

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fn = sums[..., 0], sums[..., 2]
        return tp, tp + fn
