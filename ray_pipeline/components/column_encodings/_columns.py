"""Columns of a table as every encoder reads them: kind, numbers, category codes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline import column_types
from ray_pipeline.duration import DAY_US
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.values import Vector

Kind = Literal["number", "category", "time"]
MISSING, UNSEEN = -2, -1
MAX_EXACT = 2.0**53
"""Up to here float64 holds every whole number."""
GRID = 2.0**48
"""Values of a sample that are nearer to each other than its range by this count as one: rounding in float64."""
MAX_MERGED = 0.01
"""The share of the distinct values of a sample that float32 may merge into others before an offset is subtracted."""


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


def numbers(values: pa.ChunkedArray, offset: float = 0.0) -> Vector:
    """A number or a time (in days since 1970) as float64, less an offset.

    Parameters
    ----------
    values
        Shape (rows,).
    offset
        What is subtracted; a whole number is subtracted from integers before they are rounded to float64.

    Returns
    -------
    array of float64, shape (rows,)
        NaN where the value is missing or not finite.

    Examples
    --------
    >>> numbers(pa.chunked_array([[2**62 + 1, None]]), 2.0**62).tolist()
    [1.0, nan]
    """
    if kind_of(values.type) == "time":
        micros = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
        values = pc.divide(micros, float(DAY_US))
    number: Vector = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy()
    number = np.where(np.isfinite(number), number, np.nan)
    if not offset:
        return number
    near = number - offset
    if offset.is_integer() and pa.types.is_integer(values.type) and values.type != pa.uint64():
        wrapped = np.uint64(int(offset) % 2**64).astype(np.int64)  # an offset of 2^63; small differences are right
        exact = pc.fill_null(values.cast(pa.int64()), 0).to_numpy() - wrapped
        return np.where(np.abs(near) < MAX_EXACT, exact, near)
    return near


def offset_of(values: pa.ChunkedArray) -> float:
    """What to subtract from a number or time before it becomes float32, so that different values stay different.

    Parameters
    ----------
    values
        A sample of the training rows; shape (rows,).

    Returns
    -------
    float
        A median; 0 where float32 merges few of the distinct values, or where the median does not halve their number.

    Examples
    --------
    >>> offset_of(pa.chunked_array([[10**12, 10**12 + 1, 10**12 + 2]])), offset_of(pa.chunked_array([[1, 2, 3]]))
    (1000000000001.0, 0.0)
    """
    counts = distinct_counts(values)
    if counts is not None and counts[1] >= (1 - MAX_MERGED) * counts[0]:  # nearly all columns
        return 0.0
    exact, middle = from_the_middle(values)
    with np.errstate(over="ignore"):
        plain, moved = (numbers(values, offset).astype(np.float32) for offset in (0.0, middle))
    if len(np.unique(plain)) >= (1 - MAX_MERGED) * len(np.unique(exact)):  # needs no grid
        return 0.0
    merged = merged_share(exact, plain)
    return middle if merged > MAX_MERGED and merged_share(exact, moved) < merged / 2 else 0.0


def distinct_counts(values: pa.ChunkedArray) -> tuple[int, int] | None:
    """The number of distinct values of a number or time as float64, and as float32; None beyond whole numbers.

    Examples
    --------
    >>> distinct_counts(pa.chunked_array([[0.5, 2.0**24, 2.0**24 + 1, None]]))
    (3, 2)
    """
    number = np.sort(numbers(values))  # NaN last
    number = number[: len(number) - np.isnan(number).sum()]
    if not len(number) or max(-number[0], number[-1]) > MAX_EXACT:
        return None
    single = number.astype(np.float32)
    return tuple(1 + int((one[1:] != one[:-1]).sum()) for one in (number, single))  # type: ignore[return-value]


def from_the_middle(values: pa.ChunkedArray) -> tuple[Vector, float]:
    """A number or time less its median, which is one of its values (0 without any), and that median; shape (rows,)."""
    number = numbers(values)
    number = np.sort(number[~np.isnan(number)])
    middle = float(number[len(number) // 2]) if len(number) else 0.0
    with np.errstate(over="ignore"):
        return numbers(values, middle), middle


def merged_share(exact: Vector, encoded: NDArray[np.float32]) -> float:
    """The share of the distinct values of a sample that are encoded like another one.

    Parameters
    ----------
    exact
        Numbers, NaN where they are missing; shape (n,).
    encoded
        What each became; shape (n,).

    Examples
    --------
    >>> merged_share(np.array([1e9, 1e9 + 1]), np.array([1e9, 1e9 + 1], np.float32))
    0.5
    """
    kept = ~np.isnan(exact) & np.isfinite(encoded)  # what float32 cannot hold is another finding
    exact, encoded = exact[kept], encoded[kept]
    with np.errstate(over="ignore"):
        spread = np.ptp(exact) if len(exact) else 0.0
    if spread == 0 or not np.isfinite(spread):
        return 0.0
    distinct = len(np.unique(np.round((exact - exact.min()) / spread * GRID)))
    return max(0.0, 1 - len(np.unique(encoded)) / distinct)


def as_declared(name: str, values: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """A column as the kind that the spec says it is: a number as its text, or the number that a text holds.

    A whole number has the same text as an integer and as a float. Other columns stay as they are.

    Parameters
    ----------
    name
        The column's name, for messages.
    values
        In plain types (see `column_types`); shape (rows,).
    kind
        `category` or `number`.

    Raises
    ------
    DataError
        Some texts hold no number.

    Examples
    --------
    >>> as_declared("zip", pa.chunked_array([[94110.0, 0.5, None]]), "category").to_pylist()
    ['94110', '0.5', None]
    >>> as_declared("size", pa.chunked_array([["12", " 0.5"]]), "number").to_pylist()
    [12.0, 0.5]
    """
    actual = kind_of(values.type)
    if kind == "category" and actual == "number":
        return _texts(values)
    if kind == "number" and actual == "category":
        return _numbers_of(name, values)
    return values


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as text: whole ones without a fraction, others with the fewest digits that tell them apart."""
    texts = values.cast(pa.string())
    if pa.types.is_decimal(values.type) and values.type.scale > 0:
        return pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
    if not pa.types.is_floating(values.type):
        return texts
    number = values.cast(pa.float64()).to_numpy()
    whole = (number == np.floor(number)) & (np.abs(number) < 2.0**63)
    integers = pa.array(np.where(whole, number, 0).astype(np.int64)).cast(pa.string())
    return pa.chunked_array([pc.if_else(pa.array(whole), integers, texts.combine_chunks())])


def _numbers_of(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The numbers that texts hold, as float64; null stays null."""
    trimmed = pc.utf8_trim_whitespace(values)
    try:
        return trimmed.cast(pa.float64())
    except pa.ArrowInvalid:
        pass
    unread = [text for text in pc.unique(trimmed).drop_null().to_pylist() if not _is_number(text)]
    rows = pc.sum(pc.is_in(trimmed, pa.array(unread, pa.string()))).as_py()
    raise DataError(
        Problem(
            stage="encode",
            column=name,
            rows=rows,
            found=f"{rows:,} of {len(values):,} texts hold no number: {listed(map(repr, unread))}",
            fix="correct them or write null, or leave out `type: number`",
        )
    )


def _is_number(text: str) -> bool:
    try:
        pa.array([text]).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


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
    given = set(table.column_names)
    missing = [name for name in reads if name not in given]
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
