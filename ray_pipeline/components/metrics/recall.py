"""Recall, the same number as the true positive rate."""

from typing import ClassVar, Literal

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.components.metrics._confusion import Rate


class Recall(Rate):
    """Share of the positive rows that are selected; undefined where none is positive."""

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fn = sums[..., 0], sums[..., 2]
        return tp, tp + fn
