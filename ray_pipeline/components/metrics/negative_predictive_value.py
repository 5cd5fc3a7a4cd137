"""Negative predictive value."""

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class NegativePredictiveValue(Rate):
    """Share of the rows not selected that are negative; undefined where all are selected."""

    better = "higher"

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        fn, tn = sums[..., 2], sums[..., 3]
        return tn, fn + tn
