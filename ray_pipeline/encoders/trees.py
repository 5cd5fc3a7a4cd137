"""Encoder for trees: numbers as they are, missing as NaN, categories as codes with one code of its own for the unseen.

Codes start at 1 in the order of falling frequency in the training rows (ties by text); 0 is any value that training never saw.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ray_pipeline.encoders._base import Encoder, Seen, by_frequency
from ray_pipeline.encoders._columns import MISSING, Kind, codes, numbers, refuse_missing, refuse_other_kind
from ray_pipeline.values import Matrix

# XGBoost splits a native category by sorting its values in every node: at 100 values a round costs twice as much, at 4,000 (tail numbers)
# the trees overfit (flights, random split: test AUC .751 native, .778 by rank). Ranked by frequency, a number does as well from 9 values up.
MOST_NATIVE = 8


class Encoded(BaseModel):
    """How one column of the table becomes one column of the matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()


class Trees(Encoder):
    """One matrix column for each table column: number, category code, or days since 1970 for times."""

    encoded: tuple[Encoded, ...]

    @classmethod
    def fit(cls, columns: Mapping[str, Seen]) -> Self:
        """Only the order of the categories is learnt."""
        return cls(encoded=tuple(Encoded(name=name, kind=seen.kind, categories=tuple(by_frequency(seen.counts))) for name, seen in columns.items()))

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the table's columns, as they were in training."""
        return tuple(column.name for column in self.encoded)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns: those of the table."""
        return self.reads

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Codes of the categories with few values; 0 for quantities and for the ranks of the others."""
        return tuple(len(column.categories) + 1 if 0 < len(column.categories) <= MOST_NATIVE else 0 for column in self.encoded)

    def apply(self, table: pa.Table) -> Matrix:
        """float32 in C order, shape (rows, columns); NaN where the value is missing."""
        refuse_missing(self.reads, table)
        matrix = np.empty((table.num_rows, len(self.encoded)), np.float32)
        for index, column in enumerate(self.encoded):
            matrix[:, index] = _apply(column, table[column.name])
        return matrix


def _apply(column: Encoded, values: pa.ChunkedArray) -> Matrix:
    refuse_other_kind(column.name, column.kind, values)
    if column.kind == "category":
        found = codes(values, column.categories)
        return np.where(found == MISSING, np.nan, found + 1).astype(np.float32)
    with np.errstate(over="ignore"):
        single = numbers(values).astype(np.float32)
    single[np.isinf(single)] = np.nan  # XGBoost refuses infinities; the findings count them
    return single
