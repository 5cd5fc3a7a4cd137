"""False positive rate."""

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class FalsePositiveRate(Rate):
    """Share of the negative rows that are selected; undefined where none is negative."""

    better = "lower"

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        fp, tn = sums[..., 1], sums[..., 3]
        return fp, fp + tn
