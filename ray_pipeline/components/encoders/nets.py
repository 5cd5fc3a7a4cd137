"""Encoder for nets: numbers as normal quantiles with a flag where they are missing, categories as ids; every cell is
finite.

A number goes to the standard normal quantile of its rank among the training rows (as in Gorishniy et al., 2021, section
4.3), which no outlier
and no unit can disturb. A missing number is 0, the median. Ids are 0 for missing, 1 for what training never or hardly
ever saw, then from 2.
"""

from typing import ClassVar

from ray_pipeline.components.column_encodings._base import Options
from ray_pipeline.components.encoders._base import Encoder

RARE = 5
"""A category with fewer rows is not told from an unseen one: it could not learn, and so the id of the unseen does."""


class Nets(Encoder):
    """Matrix columns of about unit scale for numbers and times, 0 or 1 for what is missing, and ids for categories."""

    options: ClassVar = Options(impute="median", scale="quantile", rare=RARE, finite=True)
