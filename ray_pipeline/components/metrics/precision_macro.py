"""Precision, macro."""

from typing import ClassVar, Literal

from ray_pipeline.components.metrics._averaged import Averaged


class PrecisionMacro(Averaged):
    """Mean precision of the classes, all classes alike."""

    per_row: ClassVar[float] = 0.0
    per_decision: ClassVar[float] = 1.0
    average: ClassVar[Literal["macro", "micro", "weighted"]] = "macro"
