"""Quantiles of the absolute error, the median among them."""

from typing import ClassVar

import numpy as np

from ray_pipeline.components.metrics._base import Aliases, Numbers, Vector
from ray_pipeline.components.metrics._quantile import Quantile
from ray_pipeline.components.metrics._rank import Question


class AbsoluteErrorQuantile(Quantile):
    """The absolute error that a share `quantile` of the rows stays within, in the label's unit."""

    aliases: ClassVar[Aliases] = {
        "median_absolute_error": {"quantile": 0.5},
        "absolute_error_p90": {"quantile": 0.9},
        "absolute_error_p99": {"quantile": 0.99},
    }
    tasks = ("regression",)
    better = "lower"
    range = (0.0, float("inf"))

    def questions(self, label: Vector, score: Numbers) -> list[Question]:
        """All rows alike, along the absolute error."""
        return [Question(np.ones(len(label)), np.abs(label - score))]
