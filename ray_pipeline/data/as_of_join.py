"""Exact joins of feature tables to the label rows: as of the moment of prediction, or a plain lookup.

For each label row: the latest feature row with `time <= label.time`, `known_at <= label.time`, `label.time - time <=
max_age`;
ties go to the latest `known_at`, then to the row with the largest content hash. Each label row stays, once, where it
is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.data.join_keys import NONE, Clock, Ints, JoinKeys, in_unit
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.hashing import hash_rows


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
        rows, matched, too_old, not_yet_known, never_seen, null_key = (
            a + b for a, b in zip(self.counted(), other.counted(), strict=True)
        )
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
class FeatureTable:
    """A small feature table made ready to be joined to any block of label rows, on any worker."""

    name: str
    keys: JoinKeys
    values: pa.Table
    unit: str | None = None
    """Unit of the times below; None for a lookup."""
    max_age: int | None = None
    clock: Clock | None = None
    available: Ints | None = None
    """(key, time at which a row became available) as one ascending number: key x width of the clock + tick of the
    time."""
    times: Ints | None = None
    duplicates: int = 0
    """Rows that lost a tie for the same key, time and known_at."""
    granularity: str | None = None
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
        assert self.clock is not None and self.available is not None and self.times is not None
        moment = in_unit(at, self.unit or "us")
        asked = number * self.clock.width + self.clock.tick(moment)
        order = np.argsort(
            asked
        )  # in order, each search stays near the last one: 5 times as fast at a million rows, the sorting included
        found = np.empty(len(asked), np.int64)
        found[order] = np.searchsorted(self.available, asked[order], side="right") - 1
        hit = (number != NONE) & (found >= 0)
        hit[hit] = self.available[found[hit]] // self.clock.width == number[hit]
        row = np.where(hit, found, NONE)
        age = (
            np.where(hit, moment - self.times[np.where(hit, found, 0)], 0)
            if len(self.times)
            else np.zeros(len(number), np.int64)
        )
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
                stage="join",
                key=f"features.{name}.on",
                column=on[0],
                rows=len(again),
                found=(
                    f"{name}: {len(again):,} rows repeat a key ({listed(str(list(row.values())) for row in doubled)}),"
                    " so a lookup has no one answer"
                ),
                fix="keep one row for each key, or name the table's `time`",
            )
        )
    return FeatureTable(
        name, keys, _renamed(name, table, columns).take(pa.array(order)), without_time=table.num_rows - len(present)
    )


def as_of_table(
    name: str,
    table: pa.Table,
    on: Sequence[str],
    columns: Sequence[str],
    *,
    time: str,
    known_at: str | None,
    max_age_us: int | None,
    unit: str,
) -> FeatureTable:
    """The table sorted for as-of joins: of each key, only the rows that are the latest known at some moment.

    As-of on `time` alone or on `known_at` alone picks wrong rows once corrections arrive late. Exact in O(n log n): per
    key, in the order of
    available = max(time, known_at), keep the rows that raise the running maximum of (time, known_at); then as-of on
    available is the answer.
    """
    known = table[known_at] if known_at else table[time]
    keys, number = JoinKeys.of([table[column] for column in on])
    usable = np.flatnonzero((number != NONE) & pc.and_(pc.is_valid(table[time]), pc.is_valid(known)).to_numpy())
    times, number = in_unit(table[time].take(pa.array(usable)), unit), number[usable]
    knowns = in_unit(known.take(pa.array(usable)), unit) if known_at else times
    clock = Clock.of(np.maximum(times, knowns), int(number.max(initial=0)) + 1)
    available = number * clock.width + clock.tick(np.maximum(times, knowns))
    tie, duplicates = _content_rank(table, usable, available, times, knowns)
    order = (
        np.lexsort((tie, knowns, times, available))
        if known_at
        else np.lexsort((tie, available))
        if duplicates
        else np.argsort(available)
    )
    # Within one (key, available) only the last, greatest row can win; across them only those that raise the maximum.
    last = np.append(available[order][1:] != available[order][:-1], True) if len(order) else np.zeros(0, bool)
    kept = order[_raises_maximum(number[order], times[order], knowns[order], tie[order])] if known_at else order[last]
    return FeatureTable(
        name,
        keys,
        _renamed(name, table, columns).take(pa.array(usable[kept])),
        unit,
        max_age=None if max_age_us is None else max_age_us * {"us": 1, "ns": 1000}[unit],
        clock=clock,
        available=available[kept],
        times=times[kept],
        duplicates=duplicates,
        granularity=None if known_at else _grain(times, unit),
        without_time=table.num_rows - len(usable),
    )


def _grain(times: Ints, unit: str) -> str | None:
    second = {"us": 1_000_000, "ns": 1_000_000_000}[unit]
    lengths = {"day": 86_400 * second, "hour": 3_600 * second}
    return next((word for word, length in lengths.items() if len(times) and not (times % length).any()), None)


def _raises_maximum(number: Ints, *ranks: Ints) -> NDArray[np.intp]:
    """Positions of the rows that stand above all earlier rows of their key by `ranks`; rows come ordered by (key,
    available, ranks)."""
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


def _content_rank(
    table: pa.Table, usable: NDArray[np.intp], available: Ints, times: Ints, knowns: Ints
) -> tuple[Ints, int]:
    """Rank by content hash among rows of equal (key, time, known_at), 0 elsewhere; and how many rows lose such a
    tie."""
    order = np.argsort(available) if knowns is times else np.lexsort((knowns, times, available))
    same = np.zeros(len(order), bool)
    same[1:] = (np.diff(available[order]) == 0) & (np.diff(times[order]) == 0) & (np.diff(knowns[order]) == 0)
    tied = order[same | np.concatenate([same[1:], [False]])]
    rank = np.zeros(len(order), np.int64)
    if len(tied):
        hashes = hash_rows(table.take(pa.array(usable[tied])))
        rank[tied] = np.unique(hashes, return_inverse=True)[1] + 1
    return rank, int(same.sum())


def _renamed(name: str, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    return table.select(list(columns)).rename_columns([f"{name}.{column}" for column in columns]).combine_chunks()


def _ages(age: Ints, unit: str) -> dict[float, int]:
    """Rows by age in seconds to three digits; counted by the leading 12 bits of the mantissa first, which needs no
    sorting."""
    bits = (age / {"us": 1e6, "ns": 1e9}[unit]).view(np.int64) >> 40
    if not len(bits):
        return {}
    low = bits.min()
    counts = np.bincount(bits - low) if bits.max() - low < 1 << 24 else None
    held, counts = (
        (np.unique(bits, return_counts=True)) if counts is None else (np.flatnonzero(counts) + low, counts[counts > 0])
    )
    seconds = (held << 40).view(np.float64)
    with np.errstate(divide="ignore"):
        scale = 10.0 ** (np.floor(np.log10(np.maximum(seconds, 1e-9))) - 2)
    rounded, place = np.unique(np.round(seconds / scale) * scale, return_inverse=True)
    return dict(zip(rounded.tolist(), np.bincount(place, counts).astype(int).tolist(), strict=True))
