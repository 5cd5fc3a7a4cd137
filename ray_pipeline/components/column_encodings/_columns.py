"""Columns of a table as every encoder reads them: kind, numbers, category codes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline import column_types
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.values import Vector

Kind = Literal["number", "category", "time"]
DAY_US = 86_400_000_000
MISSING, UNSEEN = -2, -1


def kind_of(type_: pa.DataType) -> Kind | None:
    """What a column of an Arrow type is to a model; None if it cannot be a feature (lists, structs, bytes).

    Examples
    --------
    >>> kind_of(pa.bool_()), kind_of(pa.string()), kind_of(pa.date32()), kind_of(pa.binary())
    ('number', 'category', 'time', None)
    """
    kind = column_types.kind_of(type_)
    if kind in ("boolean", "integer", "float", "decimal", "null"):
        return "number"
    return "category" if kind == "text" else "time" if kind in ("date", "timestamp") else None


def numbers(values: pa.ChunkedArray) -> Vector:
    """A number or a time (in days since 1970) as float64, NaN where it is missing or not finite; shape (rows,)."""
    if kind_of(values.type) == "time":
        micros = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
        values = pc.divide(micros, float(DAY_US))
    number: Vector = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return np.where(np.isfinite(number), number, np.nan)


def codes(values: pa.ChunkedArray, categories: Sequence[str]) -> NDArray[np.int32]:
    """The position of each value among the categories.

    Returns
    -------
    array of int32, shape (rows,)
        `UNSEEN` (-1) for a value that is no category, `MISSING` (-2) for null.

    Examples
    --------
    >>> codes(pa.chunked_array([["b", "z", None]]), ["a", "b"]).tolist()
    [1, -1, -2]
    """
    position = pc.index_in(values.cast(pa.string()), pa.array(categories, pa.string()), skip_nulls=True)
    known = pc.fill_null(position, UNSEEN).cast(pa.int32())
    code: NDArray[np.int32] = pc.if_else(pc.is_null(values), pa.scalar(MISSING, pa.int32()), known).to_numpy()
    return code


def refuse_missing(reads: Sequence[str], table: pa.Table) -> None:
    """Refuses a table without some of the columns that the encoder reads.

    Raises
    ------
    DataError
        With the number of missing columns and the first five.
    """
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
    """Refuses a column of another kind than in training; a column without values has any kind.

    Raises
    ------
    DataError
        With the column's type.
    """
    if kind_of(values.type) != kind and values.null_count < len(values):
        raise DataError(
            Problem(
                stage="encode",
                column=name,
                found=f"is {values.type}, but the model was trained on a {kind}",
                fix="bring the column in the type it had in training",
            )
        )
