"""F1."""

from typing import ClassVar, Literal

from ray_pipeline.metrics._base import Numbers, divide
from ray_pipeline.metrics._confusion import Confusion


class F1(Confusion):
    """Harmonic mean of precision and recall; undefined where no row is positive or selected."""

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def value(self, sums: Numbers) -> Numbers:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fp, fn = sums[..., 0], sums[..., 1], sums[..., 2]
        return divide(2 * tp, 2 * tp + fp + fn)
