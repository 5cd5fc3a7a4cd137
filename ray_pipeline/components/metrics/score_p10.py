"""The 10th percentile of the score."""

from typing import ClassVar

from ray_pipeline.components.metrics._quantile import ScoreQuantile


class ScoreP10(ScoreQuantile):
    """One row in ten scores no higher; between groups it shows how scores are distributed."""

    quantile: ClassVar[float] = 0.1
