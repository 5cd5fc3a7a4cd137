"""F2."""

from typing import ClassVar

from ray_pipeline.components.metrics._f_beta import FBeta


class F2(FBeta):
    """Recall counts more: a missed positive costs more than a false alarm."""

    beta: ClassVar[float] = 2.0
