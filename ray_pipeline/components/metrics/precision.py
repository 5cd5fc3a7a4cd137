"""Precision."""

from typing import ClassVar, Literal

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class Precision(Rate):
    """Share of the selected rows that are positive; undefined where none is selected."""

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fp = sums[..., 0], sums[..., 1]
        return tp, tp + fp
