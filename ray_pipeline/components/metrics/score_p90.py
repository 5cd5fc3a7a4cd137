"""The 90th percentile of the score."""

from typing import ClassVar

from ray_pipeline.components.metrics._quantile import ScoreQuantile


class ScoreP90(ScoreQuantile):
    """Nine rows in ten score no higher; between groups it shows how scores are distributed."""

    quantile: ClassVar[float] = 0.9
