"""Pinball loss at 50 %."""

from typing import ClassVar

from ray_pipeline.components.metrics._pinball import Pinball


class Pinball50(Pinball):
    """Least where the prediction is the median of the label; in the label's unit."""

    quantile: ClassVar[float] = 0.5
