"""A category as a code: its place in the order of falling frequency."""

from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from ray_pipeline.components.column_encodings._base import ColumnSummary, Encoding, Fold, Options, by_frequency
from ray_pipeline.components.column_encodings._columns import MISSING, Kind, codes
from ray_pipeline.values import Matrix


class Ordinal(Encoding):
    """Codes 0 for unseen or rare, then 1, 2, … for the categories, missing as NaN; or, for families that take no NaN,
    one code more: 0 for missing."""

    kinds: ClassVar[tuple[Kind, ...]] = ("category",)
    takes: ClassVar[tuple[str, ...]] = ("impute", "rare")

    categories: tuple[str, ...] = ()
    finite: bool = False
    native: bool = True
    """Whether the codes are a set to the family; else they are a rank."""
    missing: str | None = None
    """The category that a missing value is taken for, where it is imputed."""

    @classmethod
    def fit(cls, name: str, summary: ColumnSummary, options: Options) -> Self:
        """Only the order of the categories is learnt."""
        categories = by_frequency(summary.counts, options.rare)
        native = options.max_native is None or 0 < len(categories) <= options.max_native
        return cls(
            name=name,
            kind=summary.kind,
            categories=categories,
            finite=options.finite,
            native=native,
            missing=stands_for(options, categories),
        )

    @classmethod
    def is_default(cls, kind: Kind, options: Options) -> bool:
        """Of a category."""
        return kind == "category"

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """The codes, where they are a set."""
        return (len(self.categories) + 1 + self.finite if self.native else 0,)

    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """One column."""
        found = codes(filled(values, self.missing), self.categories)
        if self.finite:
            return (found[:, None] - MISSING).astype(np.float32)
        return np.where(found == MISSING, np.nan, found + 1)[:, None].astype(np.float32)


def stands_for(options: Options, categories: tuple[str, ...]) -> str | None:
    """The category that a missing value is imputed with, if the column's options say so."""
    if options.impute == "most_frequent":
        return categories[0] if categories else None
    return None if options.impute in ("none", "mean", "median") else str(options.impute)


def filled(values: pa.ChunkedArray, category: str | None) -> pa.ChunkedArray:
    """The values with that category in place of nulls."""
    return values if category is None else values.cast(pa.string()).fill_null(category)
