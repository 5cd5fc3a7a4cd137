"""Pinball loss: how good a prediction is as a quantile of the label."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ray_pipeline.components.metrics._base import HALF, Aliases, MeanMetric, Numbers, Vector


class Pinball(MeanMetric):
    """Mean loss of a prediction of the label's quantile, in the label's unit (Koenker & Bassett, 1978).

    A label above the prediction costs `quantile` times the difference, one below it 1 - `quantile` times.
    """

    aliases: ClassVar[Aliases] = {
        "pinball_10": {"quantile": 0.1},
        "pinball_50": {"quantile": 0.5},
        "pinball_90": {"quantile": 0.9},
    }

    tasks = ("regression",)
    better = "lower"
    range = (0.0, float("inf"))

    quantile: Annotated[float, Field(gt=0, lt=1)]

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The loss of each row."""
        above = label - score
        return np.maximum(self.quantile * above, (self.quantile - 1) * above)
