"""Pinball loss at 10 %."""

from typing import ClassVar

from ray_pipeline.components.metrics._pinball import Pinball


class Pinball10(Pinball):
    """Least where the prediction is the 10th percentile of the label; in the label's unit."""

    quantile: ClassVar[float] = 0.1
