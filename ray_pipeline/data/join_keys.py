"""Keys and times of joins as whole numbers: they sort, and both tables compare them in one type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.hashing import distinct

Ints = NDArray[np.int64]
NONE = -1


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
        if num_keys * (last - base + 2) < 2**62:
            return cls(base=base, width=last - base + 2)
        instants = distinct(times)
        return cls(base=base, width=len(instants) + 1, instants=instants)

    def of(self, times: Ints) -> Ints:
        """The code of each time; shape (rows,), 0 before the earliest time, the last code after the latest one."""
        if self.instants is not None:
            return np.searchsorted(self.instants, times, side="right").astype(np.int64)
        return np.clip(times, self.base - 1, self.base + self.width - 2) - (self.base - 1)


def plain_key(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The key column in the one type in which it is compared: int64, string, UTC microseconds, or its own type."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    return column.cast(pa.timestamp("us", kind.tz)) if pa.types.is_timestamp(kind) else column


def in_unit(times: pa.ChunkedArray | pa.Array, unit: str) -> Ints:
    """Times as whole numbers since 1970.

    Parameters
    ----------
    times
        Dates or timestamps without nulls; shape (rows,). A time with a zone counts in UTC, another one as written.
    unit
        `us` or `ns`.

    Returns
    -------
    Ints
        Shape (rows,).
    """
    if pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("us"))
    zone = times.type.tz
    return times.cast(pa.timestamp(unit, zone)).cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


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
    return pc.fill_null(pc.index_in(values, known, skip_nulls=True), NONE).to_numpy().astype(np.int64)  # type: ignore[no-any-return]
