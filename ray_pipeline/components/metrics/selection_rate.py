"""Selection rate."""

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class SelectionRate(Rate):
    """Share of the rows that are selected; neither more nor less of it is good, only gaps mean something."""

    better = "higher"
    objective = False

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        return sums[..., 0] + sums[..., 1], sums.sum(axis=-1)
