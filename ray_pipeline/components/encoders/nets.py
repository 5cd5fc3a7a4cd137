"""Encoder for nets: numbers as normal quantiles, with a flag where they are missing; categories as ids; no cell is NaN.

A number becomes the standard normal quantile of its rank among the training rows (as in Gorishniy et al., 2021, section
4.3), so outliers and units have no effect. A missing number is 0, the median. Ids are 0 for missing, 1 for values that
training never or hardly ever has, then from 2 on.
"""

from typing import ClassVar

from ray_pipeline.components.column_encodings._base import Options
from ray_pipeline.components.encoders._base import Encoder

RARE = 5
"""A category with fewer rows gets the id of unseen ones: it has too few rows to learn from, but that id learns."""


class Nets(Encoder):
    """Columns of about unit scale for numbers and times, 0 or 1 where they are missing, and ids for categories."""

    options: ClassVar = Options(impute="median", scale="quantile", rare=RARE, finite=True)
