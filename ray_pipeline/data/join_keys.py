"""Keys and times of joins as whole numbers: what is found by search must be ordered, and what is compared must be of
one type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.hashing import distinct

Ints = NDArray[np.int64]
NONE = -1


@dataclass(frozen=True)
class JoinKeys:
    """Each distinct key of a feature table as a small number, found again for label rows by hash lookup."""

    columns: tuple[pa.Array, ...]
    combined: pa.Array | None

    @classmethod
    def of(cls, keys: Sequence[pa.ChunkedArray]) -> tuple["JoinKeys", Ints]:
        """The numbering of a table's keys, and each row's number (-1 where a part of its key is null)."""
        keys = [plain_key(column) for column in keys]
        columns = tuple(pc.drop_null(pc.unique(column)) for column in keys)
        mixed = _mixed(columns, keys)
        if len(keys) == 1:
            return cls(columns, None), mixed
        combined = pa.array(distinct(mixed[mixed >= 0]))
        return cls(columns, combined), _codes(pa.array(mixed), combined)

    def numbers(self, keys: Sequence[pa.ChunkedArray]) -> Ints:
        """The number of each label row's key; -1 where the table has none such, or a part of the key is null."""
        mixed = _mixed(self.columns, [plain_key(column) for column in keys])
        return mixed if self.combined is None else _codes(pa.array(mixed), self.combined)


@dataclass(frozen=True)
class Clock:
    """Times as small whole numbers in their order: the distance to the earliest one, or, where keys and times would not
    fit 63 bits, their rank."""

    base: int
    width: int
    instants: Ints | None = None

    @classmethod
    def of(cls, times: Ints, num_keys: int) -> "Clock":
        """The clock of those times."""
        base, last = (int(times.min()), int(times.max())) if len(times) else (0, 0)
        if num_keys * (last - base + 2) < 2**62:
            return cls(base, last - base + 2)
        instants = distinct(times)
        return cls(base, len(instants) + 1, instants)

    def tick(self, times: Ints) -> Ints:
        """How many ticks of the clock are at or before each time: 0 before the first, (n,)."""
        if self.instants is not None:
            return np.searchsorted(self.instants, times, side="right").astype(np.int64)
        return np.clip(times, self.base - 1, self.base + self.width - 2) - (self.base - 1)


def plain_key(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in the one type that its kind of key is compared in: int64, string, UTC microseconds or as it is."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    return column.cast(pa.timestamp("us", kind.tz)) if pa.types.is_timestamp(kind) else column


def in_unit(times: pa.ChunkedArray | pa.Array, unit: str) -> Ints:
    """Times as whole numbers since 1970 (UTC where aware, as written where naive) in that unit; shape (n,). No value
    may be null."""
    if pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("us"))
    zone = times.type.tz
    return times.cast(pa.timestamp(unit, zone)).cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def finest_unit(*types: pa.DataType) -> str:
    """`ns` where any of the columns has it, else `us`: comparisons are exact in it."""
    return "ns" if any(pa.types.is_timestamp(t) and t.unit == "ns" for t in types) else "us"


def _mixed(columns: Sequence[pa.Array], keys: Sequence[pa.ChunkedArray]) -> Ints:
    """The codes of several key columns as one mixed-radix number, -1 where one is null or unknown."""
    mixed = np.zeros(len(keys[0]), np.int64)
    known = np.ones(len(keys[0]), bool)
    for values, column in zip(columns, keys, strict=True):
        codes = _codes(column, values)
        known &= codes != NONE
        mixed = mixed * max(len(values), 1) + codes
    return np.where(known, mixed, NONE)


def _codes(values: pa.ChunkedArray | pa.Array, known: pa.Array) -> Ints:
    return pc.fill_null(pc.index_in(values, known, skip_nulls=True), NONE).to_numpy().astype(np.int64)  # type: ignore[no-any-return]
