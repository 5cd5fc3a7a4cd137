"""A category as the share of training rows that have it."""

from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from ray_pipeline.components.column_encodings._base import ColumnSummary, Encoding, Fold, Options, by_frequency
from ray_pipeline.components.column_encodings._columns import MISSING, UNSEEN, Kind, codes
from ray_pipeline.components.column_encodings.ordinal import filled, stands_for
from ray_pipeline.values import Matrix


class Frequency(Encoding):
    """The share of training rows with a value.

    Rare and unseen values get the share of all rare rows; a missing value gets the share of missing rows.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("category",)
    takes: ClassVar[tuple[str, ...]] = ("impute", "rare")

    categories: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    other: float = 0.0
    absent: float = 0.0
    missing: str | None = None

    @classmethod
    def fit(cls, name: str, summary: ColumnSummary, options: Options) -> Self:
        """The shares among all training rows."""
        categories = by_frequency(summary.counts, options.rare)
        rows = max(sum(summary.counts.values()) + summary.missing, 1)
        shares = tuple(summary.counts[value] / rows for value in categories)
        other = (sum(summary.counts.values()) - sum(summary.counts[value] for value in categories)) / rows
        return cls(
            name=name,
            kind=summary.kind,
            categories=categories,
            shares=shares,
            other=other,
            absent=summary.missing / rows,
            missing=stands_for(options, categories),
        )

    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """One column."""
        code = codes(filled(values, self.missing), self.categories)
        shares = np.array([*self.shares, self.other, self.absent], np.float32)  # UNSEEN and MISSING count from the end
        return shares[np.where(code == MISSING, -1, np.where(code == UNSEEN, -2, code))][:, None]
