"""The 99th percentile of the absolute error."""

from typing import ClassVar

from ray_pipeline.components.metrics._quantile import ErrorQuantile


class AbsoluteErrorP99(ErrorQuantile):
    """All rows but one in a hundred have no larger absolute error; in the label's unit."""

    quantile: ClassVar[float] = 0.99
