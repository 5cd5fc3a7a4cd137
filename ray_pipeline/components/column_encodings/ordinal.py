"""A category as a code: its position in the order of falling frequency."""

from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from ray_pipeline.components.column_encodings._base import ColumnSummary, Encoding, Fold, Options, by_frequency
from ray_pipeline.components.column_encodings._columns import MISSING, Kind, codes
from ray_pipeline.values import Matrix


class Ordinal(Encoding):
    """Code 0 for unseen or rare values, then 1, 2, … for the categories, NaN for missing.

    A family that takes no NaN gets one more code: 0 for missing, 1 for unseen or rare values, then 2, 3, ….
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("category",)
    takes: ClassVar[tuple[str, ...]] = ("impute", "rare")

    categories: tuple[str, ...] = ()
    finite: bool = False
    native: bool = True
    """Whether the family treats the codes as a set; else they are a rank."""
    missing: str | None = None
    """The category that a missing value becomes, if it is imputed."""

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
        """The number of codes, if they are a set."""
        return self.codes if self.native else (0,)

    @property
    def codes(self) -> tuple[int, ...]:
        """The number of codes."""
        return (len(self.categories) + 1 + self.finite,)

    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """One column."""
        code = codes(filled(values, self.missing), self.categories)
        if self.finite:
            return (code[:, None] - MISSING).astype(np.float32)
        return np.where(code == MISSING, np.nan, code + 1)[:, None].astype(np.float32)


def stands_for(options: Options, categories: tuple[str, ...]) -> str | None:
    """The category that a missing value becomes, if the options impute it."""
    if options.impute == "most_frequent":
        return categories[0] if categories else None
    return None if options.impute in ("none", "mean", "median") else str(options.impute)


def filled(values: pa.ChunkedArray, category: str | None) -> pa.ChunkedArray:
    """The values, with the category in place of nulls."""
    return values if category is None else values.cast(pa.string()).fill_null(category)
