"""Encoder for trees: numbers as they are, missing values as NaN, categories as codes, with one for unseen values."""

from typing import ClassVar

from ray_pipeline.components.column_encodings._base import Options
from ray_pipeline.components.encoders._base import Encoder

# XGBoost sorts the values of a native category in every node. With 100 values a round costs twice as much; with 4,000
# (tail numbers) the trees overfit (flights, random split: test AUC .751 native, .778 by rank). From 9 values up, the
# rank by frequency as a number does as well.
MAX_NATIVE = 8


class Trees(Encoder):
    """One matrix column for each table column: a number, a category code, or days since 1970 for a time.

    A column's own options may change that.
    """

    options: ClassVar = Options(max_native=MAX_NATIVE)
