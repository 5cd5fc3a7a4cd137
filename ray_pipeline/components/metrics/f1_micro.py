"""F1, micro."""

from typing import ClassVar, Literal

from ray_pipeline.components.metrics._averaged import Averaged


class F1Micro(Averaged):
    """F1 of all decisions at once, which for one decision a row is accuracy."""

    per_row: ClassVar[float] = 0.5
    per_decision: ClassVar[float] = 0.5
    average: ClassVar[Literal["macro", "micro", "weighted"]] = "micro"
