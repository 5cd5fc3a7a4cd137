"""Exact joins of feature tables to the label rows: as of the moment of prediction, or a plain lookup.

For each label row: the latest feature row with `time <= label.time`, `known_at <= label.time`, `label.time - time <= max_age`;
ties go to the latest `known_at`, then to the row with the largest content hash. Each label row stays, once, where it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.hashing import hash_rows

Ints = NDArray[np.int64]
NONE = -1


@dataclass(frozen=True)
class JoinCounts:
    """How the label rows fared in one join, and how old the matched rows were; adds over blocks with `+`."""

    rows: int = 0
    matched: int = 0
    too_old: int = 0
    not_yet_known: int = 0
    never_seen: int = 0
    null_key: int = 0
    ages: Mapping[float, int] = field(default_factory=dict)
    """Matched rows by age in seconds, rounded to three digits, so that it stays small."""

    def __add__(self, other: "JoinCounts") -> "JoinCounts":
        ages = dict(self.ages)
        for age, count in other.ages.items():
            ages[age] = ages.get(age, 0) + count
        rows, matched, too_old, not_yet_known, never_seen, null_key = (a + b for a, b in zip(self.counted(), other.counted(), strict=True))
        return JoinCounts(rows, matched, too_old, not_yet_known, never_seen, null_key, ages)

    def counted(self) -> tuple[int, ...]:
        """The six counts, in the order of the fields."""
        return self.rows, self.matched, self.too_old, self.not_yet_known, self.never_seen, self.null_key

    def age(self, share: float) -> float | None:
        """The age in seconds below which that share of the matched rows lies, to 0.5 %; None for lookups."""
        if not self.ages:
            return None
        ages = sorted(self.ages.items())
        reached = np.cumsum([count for _, count in ages])
        return float(ages[int(np.searchsorted(reached, share * reached[-1]))][0])


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
        combined = pa.array(np.unique(mixed[mixed >= 0]))
        return cls(columns, combined), _codes(pa.array(mixed), combined)

    def numbers(self, keys: Sequence[pa.ChunkedArray]) -> Ints:
        """The number of each label row's key; -1 where the table has none such, or a part of the key is null."""
        mixed = _mixed(self.columns, [plain_key(column) for column in keys])
        return mixed if self.combined is None else _codes(pa.array(mixed), self.combined)


@dataclass(frozen=True)
class FeatureTable:
    """A small feature table made ready to be joined to any block of label rows, on any worker."""

    name: str
    keys: JoinKeys
    values: pa.Table
    unit: str | None = None
    """Unit of the times below; None for a lookup."""
    max_age: int | None = None
    instants: Ints | None = None
    """Distinct times at which some row became available, ascending."""
    available: Ints | None = None
    """(key, available) as one ascending number: key x (instants + 1) + position among the instants."""
    times: Ints | None = None
    duplicates: int = 0
    """Rows that lost a tie for the same key, time and known_at."""
    grain: str | None = None
    """`day` or `hour` where every time stands at the start of one and nothing says when a row became known."""
    without_time: int = 0
    """Rows that can never match: no event time, no known_at, or a part of the key missing."""

    def join(self, keys: Sequence[pa.ChunkedArray], at: pa.ChunkedArray | None) -> tuple[pa.Table, JoinCounts]:
        """The feature columns for each label row, in its order (null where nothing matches), and the counts.

        Args:
            keys: the label rows' key columns, in the order of the table's own.
            at: the moment of prediction; None for a lookup.
        """
        number = self.keys.numbers(keys)
        null_key = np.zeros(len(number), bool)
        for column in keys:
            null_key |= pc.is_null(column).to_numpy()
        row, too_old, age = (number, np.zeros(len(number), bool), None) if at is None else self._as_of(number, at)
        matched = row != NONE
        counts = JoinCounts(
            rows=len(number),
            matched=int(matched.sum()),
            too_old=int(too_old.sum()),
            not_yet_known=int(((number != NONE) & ~matched & ~too_old).sum()),
            never_seen=int(((number == NONE) & ~null_key).sum()),
            null_key=int(null_key.sum()),
            ages={} if age is None else _ages(age[matched], self.unit or "us"),
        )
        return self.values.take(pa.array(row, mask=~matched)), counts

    def _as_of(self, number: Ints, at: pa.ChunkedArray) -> tuple[Ints, NDArray[np.bool_], Ints]:
        assert self.instants is not None and self.available is not None and self.times is not None
        moment = in_unit(at, self.unit or "us")
        width = len(self.instants) + 1
        known = np.searchsorted(self.instants, moment, side="right")  # instants at or before the moment
        found = np.searchsorted(self.available, number * width + known, side="right") - 1
        hit = (number != NONE) & (found >= 0)
        hit[hit] = self.available[found[hit]] // width == number[hit]
        row = np.where(hit, found, NONE)
        age = np.where(hit, moment - self.times[np.where(hit, found, 0)], 0) if len(self.times) else np.zeros(len(number), np.int64)
        too_old = hit & (age > self.max_age) if self.max_age is not None else np.zeros(len(number), bool)
        return np.where(too_old, NONE, row), too_old, age


def lookup_table(name: str, table: pa.Table, on: Sequence[str], columns: Sequence[str]) -> FeatureTable:
    """The table as a lookup by key. Raises `DataError` where a key occurs more than once."""
    keys, number = JoinKeys.of([table[column] for column in on])
    present = np.flatnonzero(number != NONE)
    order = present[np.argsort(number[present], kind="stable")]
    again = np.flatnonzero(np.diff(number[order]) == 0)
    if len(again):
        doubled = table.select(list(on)).take(pa.array(order[again][:5])).to_pylist()
        raise DataError(
            Problem(
                stage="join", key=f"features.{name}.on", column=on[0], rows=len(again),
                found=f"{name}: {len(again):,} rows repeat a key ({listed(str(list(row.values())) for row in doubled)}), so a lookup has no one answer",
                fix="keep one row for each key, or name the table's `time`",
            )
        )  # fmt: skip
    return FeatureTable(name, keys, _renamed(name, table, columns).take(pa.array(order)), without_time=table.num_rows - len(present))


def as_of_table(
    name: str, table: pa.Table, on: Sequence[str], columns: Sequence[str], *, time: str, known_at: str | None, max_age_us: int | None, unit: str
) -> FeatureTable:
    """The table sorted for as-of joins: of each key, only the rows that are the latest known at some moment.

    As-of on `time` alone or on `known_at` alone picks wrong rows once corrections arrive late. Exact in O(n log n): per key, in the order of
    available = max(time, known_at), keep the rows that raise the running maximum of (time, known_at); then as-of on available is the answer.
    """
    known = table[known_at] if known_at else table[time]
    keys, number = JoinKeys.of([table[column] for column in on])
    usable = np.flatnonzero((number != NONE) & pc.and_(pc.is_valid(table[time]), pc.is_valid(known)).to_numpy())
    times, knowns = in_unit(table[time].take(pa.array(usable)), unit), in_unit(known.take(pa.array(usable)), unit)
    number = number[usable]
    available = np.maximum(times, knowns)
    tie, duplicates = _content_rank(table, usable, number, times, knowns)
    order = np.lexsort((tie, knowns, times, available, number))
    # Within one (key, available) only the last, greatest row can win; across them only those that raise the maximum.
    kept = order[_raises_maximum(number[order], times[order], knowns[order], tie[order])]
    instants = np.unique(available[kept])
    return FeatureTable(
        name, keys, _renamed(name, table, columns).take(pa.array(usable[kept])), unit,
        max_age=None if max_age_us is None else max_age_us * {"us": 1, "ns": 1000}[unit],
        instants=instants, available=number[kept] * (len(instants) + 1) + np.searchsorted(instants, available[kept]) + 1,
        times=times[kept], duplicates=duplicates, without_time=table.num_rows - len(usable), grain=None if known_at else _grain(times, unit),
    )  # fmt: skip


def plain_key(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in the one type that its kind of key is compared in: int64, string, UTC microseconds or as it is."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    return column.cast(pa.timestamp("us", kind.tz)) if pa.types.is_timestamp(kind) else column


def in_unit(times: pa.ChunkedArray | pa.Array, unit: str) -> Ints:
    """Times as whole numbers since 1970 (UTC where aware, as written where naive) in that unit; shape (n,). No value may be null."""
    if pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("us"))
    zone = times.type.tz
    return times.cast(pa.timestamp(unit, zone)).cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]


def finest_unit(*types: pa.DataType) -> str:
    """`ns` where any of the columns has it, else `us`: comparisons are exact in it."""
    return "ns" if any(pa.types.is_timestamp(t) and t.unit == "ns" for t in types) else "us"


def _grain(times: Ints, unit: str) -> str | None:
    second = {"us": 1_000_000, "ns": 1_000_000_000}[unit]
    lengths = {"day": 86_400 * second, "hour": 3_600 * second}
    return next((word for word, length in lengths.items() if len(times) and not (times % length).any()), None)


def _raises_maximum(number: Ints, *ranks: Ints) -> NDArray[np.intp]:
    """Positions of the rows that stand above all earlier rows of their key by `ranks`; rows come ordered by (key, available, ranks)."""
    if not len(number):
        return np.zeros(0, np.intp)
    dense = np.empty(len(number), np.int64)
    by_rank = np.lexsort((*reversed(ranks),))
    step = np.zeros(len(number), bool)
    for rank in ranks:
        step[1:] |= np.diff(rank[by_rank]) != 0
    dense[by_rank] = np.cumsum(step)
    height = number * (dense.max() + 1) + dense  # keys ascend, so the running maximum starts anew with each key
    top = np.maximum.accumulate(height)
    return np.flatnonzero(height > np.concatenate([[-1], top[:-1]]))


def _content_rank(table: pa.Table, usable: NDArray[np.intp], number: Ints, times: Ints, knowns: Ints) -> tuple[Ints, int]:
    """Rank by content hash among rows of equal (key, time, known_at), 0 elsewhere; and how many rows lose such a tie."""
    order = np.lexsort((knowns, times, number))
    same = np.zeros(len(order), bool)
    same[1:] = (np.diff(number[order]) == 0) & (np.diff(times[order]) == 0) & (np.diff(knowns[order]) == 0)
    tied = order[same | np.concatenate([same[1:], [False]])]
    rank = np.zeros(len(order), np.int64)
    if len(tied):
        hashes = hash_rows(table.take(pa.array(usable[tied])))
        rank[tied] = np.unique(hashes, return_inverse=True)[1] + 1
    return rank, int(same.sum())


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


def _renamed(name: str, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    return table.select(list(columns)).rename_columns([f"{name}.{column}" for column in columns]).combine_chunks()


def _ages(age: Ints, unit: str) -> dict[float, int]:
    seconds = age / {"us": 1e6, "ns": 1e9}[unit]
    with np.errstate(divide="ignore"):
        scale = 10.0 ** (np.floor(np.log10(np.maximum(seconds, 1e-9))) - 2)
    rounded, counts = np.unique(np.round(seconds / scale) * scale, return_counts=True)
    return dict(zip(rounded.tolist(), counts.tolist(), strict=True))
