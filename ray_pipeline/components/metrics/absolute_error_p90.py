"""The 90th percentile of the absolute error."""

from typing import ClassVar

from ray_pipeline.components.metrics._quantile import ErrorQuantile


class AbsoluteErrorP90(ErrorQuantile):
    """Nine rows in ten have no larger absolute error; in the label's unit."""

    quantile: ClassVar[float] = 0.9
