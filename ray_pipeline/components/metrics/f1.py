"""F1."""

from typing import ClassVar

from ray_pipeline.components.metrics._f_beta import FBeta


class F1(FBeta):
    """Precision and recall count alike."""

    beta: ClassVar[float] = 1.0
