"""Recall, weighted."""

from typing import ClassVar, Literal

from ray_pipeline.components.metrics._averaged import Averaged


class RecallWeighted(Averaged):
    """Mean recall of the classes, classes weighted by their rows."""

    per_row: ClassVar[float] = 1.0
    per_decision: ClassVar[float] = 0.0
    average: ClassVar[Literal["macro", "micro", "weighted"]] = "weighted"
