"""F-beta: precision and recall in one number."""

from abc import ABC
from typing import ClassVar, Literal

from ray_pipeline.components.metrics._base import Numbers, divide
from ray_pipeline.components.metrics._confusion import Confusion


class FBeta(Confusion, ABC):
    """Harmonic mean of precision and recall, recall counting `beta` squared times (van Rijsbergen, 1979); undefined
    where no row is positive or selected."""

    beta: ClassVar[float]
    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def value(self, sums: Numbers) -> Numbers:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fp, fn, squared = sums[..., 0], sums[..., 1], sums[..., 2], self.beta**2
        return divide((1 + squared) * tp, (1 + squared) * tp + squared * fn + fp)
