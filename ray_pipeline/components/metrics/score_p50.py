"""The median of the score."""

from typing import ClassVar

from ray_pipeline.components.metrics._quantile import ScoreQuantile


class ScoreP50(ScoreQuantile):
    """Half of the rows score no higher; between groups it shows how scores are distributed."""

    quantile: ClassVar[float] = 0.5
