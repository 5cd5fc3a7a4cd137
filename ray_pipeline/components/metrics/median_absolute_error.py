"""Median absolute error."""

from typing import ClassVar

from ray_pipeline.components.metrics._quantile import ErrorQuantile


class MedianAbsoluteError(ErrorQuantile):
    """Half of the rows have a smaller absolute error, half a larger one; in the label's unit."""

    quantile: ClassVar[float] = 0.5
