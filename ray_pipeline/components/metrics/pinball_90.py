"""Pinball loss at 90 %."""

from typing import ClassVar

from ray_pipeline.components.metrics._pinball import Pinball


class Pinball90(Pinball):
    """Least where the prediction is the 90th percentile of the label; in the label's unit."""

    quantile: ClassVar[float] = 0.9
