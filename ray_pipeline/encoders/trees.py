"""Encoder for trees: numbers as they are, missing as NaN, categories as codes with one code of its own for the unseen.

Codes start at 1 in the order of falling frequency in the training rows (ties by text); 0 is any value that training never saw.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from ray_pipeline.encoders._base import Encoder
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.values import Matrix

# XGBoost splits a native category by sorting its values in every node: at 100 values a round costs twice as much, at 4,000 (tail numbers)
# the trees overfit (flights, random split: test AUC .751 native, .778 by rank). Ranked by frequency, a number does as well from 9 values up.
MOST_NATIVE = 8
Kind = Literal["number", "category", "time"]
DAY_US = 86_400_000_000


class Encoded(BaseModel):
    """How one column of the table becomes one column of the matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()


class Trees(Encoder):
    """One matrix column for each table column: number, category code, or days since 1970 for times."""

    encoded: tuple[Encoded, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns: those of the table."""
        return tuple(column.name for column in self.encoded)

    @property
    def feature_types(self) -> tuple[str, ...]:
        """XGBoost's type of each column: `c` for categories with few values, `q` for quantities and for ranks of the others."""
        return tuple("c" if 0 < len(column.categories) <= MOST_NATIVE else "q" for column in self.encoded)

    def apply(self, table: pa.Table) -> Matrix:
        """float32 in C order, shape (rows, columns); NaN where the value is missing."""
        missing = [name for name in self.columns if name not in table.column_names]
        if missing:
            raise DataError(
                Problem(
                    stage="encode",
                    column=missing[0],
                    found=f"{len(missing)} of {len(self.columns)} columns are missing: {', '.join(missing[:5])}",
                    fix="bring the columns that the model was trained on",
                )
            )
        matrix = np.empty((table.num_rows, len(self.encoded)), np.float32)
        for index, column in enumerate(self.encoded):
            matrix[:, index] = _apply(column, table[column.name])
        return matrix


def kind_of(type_: pa.DataType) -> Kind | None:
    """What a column of that Arrow type is to trees; None where it cannot be a feature (lists, structs, bytes)."""
    if pa.types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_) or pa.types.is_boolean(type_) or pa.types.is_null(type_):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "category"
    return "time" if pa.types.is_timestamp(type_) or pa.types.is_date(type_) else None


def _apply(column: Encoded, values: pa.ChunkedArray) -> Matrix:
    found = kind_of(values.type)
    if found != column.kind and not pa.types.is_null(values.type):
        raise DataError(
            Problem(
                stage="encode",
                column=column.name,
                found=f"is {values.type}, but the model was trained on a {column.kind}",
                fix="bring the column in the type it had in training",
            )
        )
    if column.kind == "category":
        codes = pc.index_in(values.cast(pa.string()), pa.array(column.categories, pa.string()), skip_nulls=True)
        codes = pc.add(pc.fill_null(codes, -1), 1).cast(pa.float32())
        known: Matrix = pc.if_else(pc.is_null(values), pa.scalar(np.nan, pa.float32()), codes).to_numpy()
        return known
    if column.kind == "time":
        micros = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
        values = pc.divide(micros, float(DAY_US))
    with np.errstate(over="ignore"):
        numbers: Matrix = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy().astype(np.float32)
    numbers[np.isinf(numbers)] = np.nan  # XGBoost refuses infinities; the findings count them
    return numbers
