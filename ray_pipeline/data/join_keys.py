"""Keys and times of joins as whole numbers: they sort, and both tables compare them in one type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.column_types import plain_column
from ray_pipeline.duration import PER_SECOND
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.hashing import distinct

Ints = NDArray[np.int64]
NONE = -1
LAST_NS = 2**63 - 1
FIRST_NS = -LAST_NS
FIRST_US, LAST_US = -(LAST_NS // 1_000), LAST_NS // 1_000
"""The range of 64-bit nanoseconds, in microseconds."""


@dataclass(frozen=True, kw_only=True)
class JoinKeys:
    """The distinct keys of a feature table, each with a small number as its code."""

    columns: tuple[pa.Array, ...]
    """The distinct values of each key column."""
    combined: pa.Array | None
    """The distinct mixed-radix numbers of several key columns; None for a single one."""

    @classmethod
    def fit(cls, keys: Sequence[pa.ChunkedArray]) -> tuple["JoinKeys", Ints]:
        """The codes of a table's keys.

        Parameters
        ----------
        keys
            The key columns, each of shape (rows,).

        Returns
        -------
        tuple of JoinKeys and Ints
            The coding, and the code of each row; shape (rows,), -1 where a part of the key is null.

        Examples
        --------
        >>> keys, codes = JoinKeys.fit([pa.chunked_array([["b", None, "a", "b"]])])
        >>> codes.tolist(), keys.codes([pa.chunked_array([["a", "z"]])]).tolist()
        ([0, -1, 1, 0], [1, -1])
        """
        keys = [plain_key(column) for column in keys]
        columns = tuple(pc.drop_null(pc.unique(column)) for column in keys)
        mixed = _mixed_radix(columns, keys)
        if len(keys) == 1:
            return cls(columns=columns, combined=None), mixed
        combined = pa.array(distinct(mixed[mixed >= 0]))
        return cls(columns=columns, combined=combined), _positions(pa.array(mixed), combined)

    def codes(self, keys: Sequence[pa.ChunkedArray]) -> Ints:
        """The code of each label row's key; shape (rows,), -1 if the table lacks the key or a part of it is null."""
        mixed = _mixed_radix(self.columns, [plain_key(column) for column in keys])
        return mixed if self.combined is None else _positions(pa.array(mixed), self.combined)


@dataclass(frozen=True, kw_only=True)
class TimeCodes:
    """Times as small whole numbers in the same order.

    The code is the distance to the earliest time, or the rank where keys and times together exceed 62 bits.
    """

    base: int
    width: int
    """Number of codes: every code lies in [0, width)."""
    instants: Ints | None = None

    @classmethod
    def fit(cls, times: Ints, num_keys: int) -> "TimeCodes":
        """The coding of these times.

        Parameters
        ----------
        times
            Whole numbers in one unit; shape (rows,).
        num_keys
            Number of key codes that the time codes are combined with.

        Examples
        --------
        >>> codes = TimeCodes.fit(np.array([50, 20, 30]), num_keys=1)
        >>> codes.of(np.array([10, 20, 30, 99])).tolist(), codes.width
        ([0, 1, 11, 31], 32)
        """
        base, last = (int(times.min()), int(times.max())) if len(times) else (0, 0)
        if base > FIRST_NS and num_keys * (last - base + 2) < 2**62:
            return cls(base=base, width=last - base + 2)
        instants = distinct(times)
        return cls(base=base, width=len(instants) + 1, instants=instants)

    def of(self, times: Ints) -> Ints:
        """The code of each time; shape (rows,), 0 before the earliest time, the last code after the latest one."""
        if self.instants is not None:
            return np.searchsorted(self.instants, times, side="right").astype(np.int64)
        return np.clip(times, self.base - 1, self.base + self.width - 2) - (self.base - 1)


def plain_key(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The key column in the one type in which it is compared.

    Whole numbers become int64, other decimals the widest one, moments a decimal of nanoseconds (which holds every unit
    without loss), floats float64 without a negative zero; the other plain types stay.
    """
    column = plain_column(column)
    kind = column.type
    if pa.types.is_timestamp(kind):
        per_tick = pa.scalar(PER_SECOND["ns"] // PER_SECOND[kind.unit], pa.decimal128(10, 0))
        return pc.multiply(column.cast(pa.int64()).cast(pa.decimal128(19, 0)), per_tick)
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision <= 18):
        return column.cast(pa.int64())
    if pa.types.is_decimal(kind):
        return column.cast(pa.decimal256(76, 38))
    return pc.add(column.cast(pa.float64()), 0.0) if pa.types.is_floating(kind) else column


def label_times(times: pa.ChunkedArray, unit: str) -> Ints:
    """The moments of prediction as whole numbers since 1970, 0 where there is none; shape (rows,).

    Raises
    ------
    DataError
        A moment is beyond the range of nanoseconds, in which the feature table's times are.
    """
    if unit == "ns" and not (pa.types.is_timestamp(times.type) and times.type.unit == "ns"):
        micros = in_unit(times, "us")
        if rows := int(((micros < FIRST_US) | (micros > LAST_US)).sum()):
            raise DataError(
                Problem(
                    stage="join",
                    rows=rows,
                    found=f"{rows:,} moments of prediction in one block are outside 1677-09-22 to 2262-04-11, the range"
                    " of nanoseconds, in which the feature table's times are",
                    fix="write the feature table's times in microseconds",
                )
            )
    return in_unit(times, unit)


def in_unit(times: pa.ChunkedArray | pa.Array, unit: str) -> Ints:
    """Times as whole numbers since 1970, 0 where there is none.

    Parameters
    ----------
    times
        Dates or timestamps; shape (rows,). A time with a zone counts in UTC, another one as written.
    unit
        `us` or `ns`. A time beyond the range of nanoseconds becomes the first or the last one.

    Returns
    -------
    Ints
        Shape (rows,).
    """
    if pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("us"))
    if unit == times.type.unit:
        return pc.fill_null(times.cast(pa.int64()), 0).to_numpy()  # type: ignore[no-any-return]
    micros = pc.fill_null(times.cast(pa.timestamp("us", times.type.tz)).cast(pa.int64()), 0).to_numpy()
    if unit == "us":
        return micros  # type: ignore[no-any-return]
    return np.where(micros < FIRST_US, FIRST_NS, np.where(micros > LAST_US, LAST_NS, micros * 1_000))


def finest_unit(*types: pa.DataType) -> str:
    """`ns` if any of the columns has it, else `us`: in this unit comparisons are exact."""
    return "ns" if any(pa.types.is_timestamp(t) and t.unit == "ns" for t in types) else "us"


def _mixed_radix(columns: Sequence[pa.Array], keys: Sequence[pa.ChunkedArray]) -> Ints:
    """Several key columns as one mixed-radix number, -1 where a value is null or unknown."""
    mixed = np.zeros(len(keys[0]), np.int64)
    known = np.ones(len(keys[0]), bool)
    for values, column in zip(columns, keys, strict=True):
        positions = _positions(column, values)
        known &= positions != NONE
        mixed = mixed * max(len(values), 1) + positions
    return np.where(known, mixed, NONE)


def _positions(values: pa.ChunkedArray | pa.Array, known: pa.Array) -> Ints:
    """The position of each value among the known ones, -1 if it is not one of them."""
    if pa.types.is_null(values.type) or pa.types.is_null(known.type):
        return np.full(len(values), NONE, np.int64)
    return pc.fill_null(pc.index_in(values, known, skip_nulls=True), NONE).to_numpy().astype(np.int64)  # type: ignore[no-any-return]
