"""F1, macro."""

from typing import ClassVar, Literal

from ray_pipeline.components.metrics._averaged import Averaged


class F1Macro(Averaged):
    """Mean F1 of the classes, all classes alike."""

    per_row: ClassVar[float] = 0.5
    per_decision: ClassVar[float] = 0.5
    average: ClassVar[Literal["macro", "micro", "weighted"]] = "macro"
