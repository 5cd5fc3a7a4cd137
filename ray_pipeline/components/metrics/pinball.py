"""Pinball loss: how good a prediction is as a quantile of the label."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class Pinball(SumMetric):
    """Mean loss of a prediction of the label's quantile, in the label's unit (Koenker & Bassett, 1978).

    A label above the prediction costs `quantile` times the difference, one below it 1 - `quantile` times.
    """

    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "pinball_10": {"quantile": 0.1},
        "pinball_50": {"quantile": 0.5},
        "pinball_90": {"quantile": 0.9},
    }

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    quantile: Annotated[float, Field(gt=0, lt=1)]

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the row's loss, shape (n, 2)."""
        above = label - score
        return np.stack([np.ones(len(label)), np.maximum(self.quantile * above, (self.quantile - 1) * above)], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total loss."""
        return divide(sums[..., 1], sums[..., 0])
