"""Recall, micro."""

from typing import ClassVar, Literal

from ray_pipeline.components.metrics._averaged import Averaged


class RecallMicro(Averaged):
    """Recall of all decisions at once, which for one decision a row is accuracy."""

    per_row: ClassVar[float] = 1.0
    per_decision: ClassVar[float] = 0.0
    average: ClassVar[Literal["macro", "micro", "weighted"]] = "micro"
