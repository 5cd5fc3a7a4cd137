"""Quantiles of the score: between groups they show how scores are distributed."""

from typing import ClassVar

import numpy as np

from ray_pipeline.components.metrics._base import Aliases, Numbers, Vector
from ray_pipeline.components.metrics._quantile import Quantile
from ray_pipeline.components.metrics._rank import Question


class ScoreQuantile(Quantile):
    """The score that a share `quantile` of the rows does not exceed; neither more nor less of it is good."""

    aliases: ClassVar[Aliases] = {
        "score_p10": {"quantile": 0.1},
        "score_p50": {"quantile": 0.5},
        "score_p90": {"quantile": 0.9},
    }
    better = "higher"
    objective = False

    def questions(self, label: Vector, score: Numbers) -> list[Question]:
        """All rows alike, along the score."""
        return [Question(np.ones(len(label)), score)]
