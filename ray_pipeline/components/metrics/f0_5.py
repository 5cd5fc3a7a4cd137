"""F0.5."""

from typing import ClassVar

from ray_pipeline.components.metrics._f_beta import FBeta


class FHalf(FBeta):
    """Precision counts more: a false alarm costs more than a missed positive."""

    beta: ClassVar[float] = 0.5
