"""A category as one column for each value, 1 where the row has it."""

from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from ray_pipeline.components.column_encodings._base import ColumnSummary, Encoding, Fold, Options, by_frequency
from ray_pipeline.components.column_encodings._columns import UNSEEN, Kind, codes
from ray_pipeline.components.column_encodings.ordinal import filled, stands_for
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.values import Matrix

MAX_SHOWN = 1_000


class OneHot(Encoding):
    """One column for each category, and one for all others if some are rare; a missing value is 0 in all of them."""

    kinds: ClassVar[tuple[Kind, ...]] = ("category",)
    takes: ClassVar[tuple[str, ...]] = ("impute", "rare")

    categories: tuple[str, ...] = ()
    other: bool = False
    missing: str | None = None

    @classmethod
    def fit(cls, name: str, summary: ColumnSummary, options: Options) -> Self:
        """The categories that are not rare.

        Raises
        ------
        DataError
            There are more than `MAX_SHOWN` categories.
        """
        categories = by_frequency(summary.counts, options.rare)
        if len(categories) > MAX_SHOWN:
            found = f"{name} has {len(categories):,} values, too many for as many columns (at most {MAX_SHOWN:,})"
            raise DataError(
                Problem(
                    stage="encode",
                    key=f"encode.{name}",
                    column=name,
                    found=found,
                    fix="add `rare: 100`, or use `as: frequency`",
                )
            )
        return cls(
            name=name,
            kind=summary.kind,
            categories=categories,
            other=len(categories) < len(summary.counts),
            missing=stands_for(options, categories),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """`name = value` for each category, `name is other` last."""
        return tuple(f"{self.name} = {value}" for value in self.categories) + (
            (f"{self.name} is other",) if self.other else ()
        )

    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """At most one 1 in a row; a value that training does not have counts as a rare one."""
        code = codes(filled(values, self.missing), self.categories)
        if self.other:
            code = np.where(code == UNSEEN, len(self.categories), code)
        matrix = np.zeros((len(code), len(self.columns)), np.float32)
        hit = np.flatnonzero(code >= 0)
        matrix[hit, code[hit]] = 1
        return matrix
