"""False negative rate."""

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class FalseNegativeRate(Rate):
    """Share of the positive rows that are not selected; undefined where none is positive."""

    better = "lower"

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fn = sums[..., 0], sums[..., 2]
        return fn, tp + fn
