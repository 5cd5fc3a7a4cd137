"""True negative rate."""

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class TrueNegativeRate(Rate):
    """Share of the negative rows that are not selected; undefined where none is negative."""

    better = "higher"

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        fp, tn = sums[..., 1], sums[..., 3]
        return tn, fp + tn
