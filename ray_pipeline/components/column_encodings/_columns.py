"""Columns of a table as every encoder reads them: the kind of a column, its numbers, its category codes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.errors import DataError, Problem
from ray_pipeline.values import Vector

Kind = Literal["number", "category", "time"]
DAY_US = 86_400_000_000
MISSING, UNSEEN = -2, -1


def kind_of(type_: pa.DataType) -> Kind | None:
    """What a column of that Arrow type is to a model; None where it cannot be a feature (lists, structs, bytes)."""
    if pa.types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if (
        pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_decimal(type_)
        or pa.types.is_boolean(type_)
        or pa.types.is_null(type_)
    ):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "category"
    return "time" if pa.types.is_timestamp(type_) or pa.types.is_date(type_) else None


def numbers(values: pa.ChunkedArray) -> Vector:
    """A number or a time (days since 1970) as float64, (n,); NaN where it is missing or not finite."""
    if kind_of(values.type) == "time":
        micros = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
        values = pc.divide(micros, float(DAY_US))
    found: Vector = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return np.where(np.isfinite(found), found, np.nan)


def codes(values: pa.ChunkedArray, categories: Sequence[str]) -> NDArray[np.int32]:
    """The place of each value among the categories, (n,); `UNSEEN` where it is none of them, `MISSING` where it is
    null."""
    known = pc.fill_null(
        pc.index_in(values.cast(pa.string()), pa.array(categories, pa.string()), skip_nulls=True), UNSEEN
    )
    found: NDArray[np.int32] = pc.if_else(
        pc.is_null(values), pa.scalar(MISSING, pa.int32()), known.cast(pa.int32())
    ).to_numpy()
    return found


def refuse_missing(reads: Sequence[str], table: pa.Table) -> None:
    """Raises `DataError` where the table lacks a column that the encoder reads."""
    missing = [name for name in reads if name not in table.column_names]
    if missing:
        raise DataError(
            Problem(
                stage="encode",
                column=missing[0],
                found=f"{len(missing)} of {len(reads)} columns are missing: {', '.join(missing[:5])}",
                fix="bring the columns that the model was trained on",
            )
        )


def refuse_other_kind(name: str, kind: Kind, values: pa.ChunkedArray) -> None:
    """Raises `DataError` where a column is of another kind than in training; a column of nulls alone is of any."""
    if kind_of(values.type) != kind and not pa.types.is_null(values.type):
        raise DataError(
            Problem(
                stage="encode",
                column=name,
                found=f"is {values.type}, but the model was trained on a {kind}",
                fix="bring the column in the type it had in training",
            )
        )
