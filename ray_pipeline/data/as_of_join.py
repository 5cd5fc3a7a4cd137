"""Exact joins of feature tables to the label rows: as of the moment of prediction, or a plain lookup.

An as-of join gives each label row the latest feature row with `time <= label.time`, `known_at <= label.time` and
`label.time - time <= max_age`. A tie goes to the latest `known_at`, then to the row with the largest content hash.
Every label row stays, once, in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.column_types import plain_column
from ray_pipeline.data.join_counts import JoinCounts, count_ages
from ray_pipeline.data.join_keys import LAST_NS, NONE, Ints, JoinKeys, TimeCodes, in_unit, label_times
from ray_pipeline.duration import PER_SECOND
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.hashing import hash_rows


@dataclass(frozen=True, kw_only=True)
class JoinOptions:
    """How one feature table is joined: its columns, and the limits in time."""

    name: str
    on: Sequence[str]
    columns: Sequence[str]
    """The columns that the label rows get."""
    time: str | None = None
    """The column of event times; None for a plain lookup."""
    known_at: str | None = None
    max_age: timedelta | None = None
    unit: str = "us"
    """The unit in which times are compared, `us` or `ns`."""


@dataclass(frozen=True, kw_only=True)
class AsOfIndex:
    """The rows of a feature table, sorted by key and by the time at which they became available."""

    unit: str
    max_age: int | None
    """In `unit`."""
    codes: TimeCodes
    available: Ints
    """Key code times the number of time codes, plus the code of the time of availability; ascending, shape (rows,)."""
    times: Ints
    """Event times in `unit`; shape (rows,)."""

    def find(self, key: Ints, at: pa.ChunkedArray) -> tuple[Ints, NDArray[np.bool_], Ints]:
        """The latest available row of each key.

        Parameters
        ----------
        key
            The key code of each label row, -1 for none; shape (n,).
        at
            The moment of prediction of each label row; shape (n,).

        Returns
        -------
        tuple of three arrays of shape (n,)
            The row, -1 if there is none or it is too old; whether it is too old; its age in `unit`.
        """
        moment = label_times(at, self.unit)
        first = np.where(pc.is_valid(at).to_numpy(), key, NONE) * self.codes.width  # what a row of this key is at least
        place = self._latest(first + self.codes.of(moment))
        hit = place != NONE
        hit[hit] = self.available[place[hit]] >= first[hit]
        age = np.zeros(len(key), np.uint64)  # 300 years of nanoseconds exceed 63 bits, and no age is below 0
        age[hit] = moment[hit].view(np.uint64) - self.times[place[hit]].view(np.uint64)
        too_old = hit & (age > np.uint64(self.max_age)) if self.max_age is not None else np.zeros(len(key), bool)
        return np.where(hit & ~too_old, place, NONE), too_old, np.minimum(age, LAST_NS).astype(np.int64)

    def _latest(self, wanted: Ints) -> Ints:
        """The last place of `available` that is at most the number wanted, -1 if there is none; shape (n,)."""
        # Queries in about the order of `available` find it in the cache: a million of them take 61 ms, as they come
        # 210, sorted 121 (`benchmarks/bench_rows.py`). 16 bits are enough, and numpy sorts them by radix.
        last = int(self.available[-1]) if len(self.available) else 0
        about = np.clip(wanted, 0, last) >> max(last.bit_length() - 16, 0)
        order = np.argsort(about.astype(np.uint16), kind="stable")
        place = np.empty(len(wanted), np.int64)
        place[order] = np.searchsorted(self.available, wanted[order], side="right") - 1
        return place


@dataclass(frozen=True, kw_only=True)
class JoinTable:
    """A small feature table, prepared for a join with any block of label rows on any worker."""

    keys: JoinKeys
    values: pa.Table
    """The joined columns, by canonical name."""
    index: AsOfIndex | None = None
    """None for a lookup: then the row number is the key's code."""
    duplicates: int = 0
    """Rows that lost a tie for the same key, time and known_at."""
    granularity: str | None = None
    """`day` or `hour` if every time is the start of one and no column says when a row became known."""
    without_time: int = 0
    """Rows that can never match: event time, known_at or a part of the key is null."""

    def join(self, keys: Sequence[pa.ChunkedArray], at: pa.ChunkedArray | None) -> tuple[pa.Table, JoinCounts]:
        """The feature columns for each label row, null where nothing matches.

        Parameters
        ----------
        keys
            The key columns of the label rows, in the order of `JoinOptions.on`; each of shape (n,).
        at
            The moment of prediction, shape (n,); None for a lookup.

        Returns
        -------
        tuple of Table and JoinCounts
            n rows in the order of the label rows, and what became of them.
        """
        keys = [plain_column(column) for column in keys]
        key = self.keys.codes(keys)
        null_key = np.zeros(len(key), bool)
        for column in [*keys, at] if at is not None else keys:
            null_key |= pc.is_null(column).to_numpy()
        row, too_old, ages = key, np.zeros(len(key), bool), dict[float, int]()
        if self.index is not None and at is not None:
            row, too_old, age = self.index.find(key, at)
            ages = count_ages(age[row != NONE], self.index.unit)
        matched = row != NONE
        counts = JoinCounts(
            rows=len(key),
            matched=int(matched.sum()),
            too_old=int(too_old.sum()),
            not_yet_known=int(((key != NONE) & ~null_key & ~matched & ~too_old).sum()),
            never_seen=int(((key == NONE) & ~null_key).sum()),
            null_key=int(null_key.sum()),
            ages=ages,
        )
        return self.values.take(pa.array(row, mask=~matched)), counts


def prepare(table: pa.Table, options: JoinOptions) -> JoinTable:
    """The feature table, ready to be joined: as of a time if the options name one, else as a lookup."""
    return lookup_table(table, options) if options.time is None else as_of_table(table, options)


def lookup_table(table: pa.Table, options: JoinOptions) -> JoinTable:
    """The feature table as a lookup by key.

    Raises
    ------
    DataError
        A key occurs more than once.
    """
    keys, key = JoinKeys.fit([table[column] for column in options.on])
    present = np.flatnonzero(key != NONE)
    order = present[np.argsort(key[present], kind="stable")]
    repeated = np.flatnonzero(np.diff(key[order]) == 0)
    if len(repeated):
        examples = table.select(list(options.on)).take(pa.array(order[repeated][:5])).to_pylist()
        shown = listed(str(list(row.values())) for row in examples)
        raise DataError(
            Problem(
                stage="join",
                key=f"features.{options.name}.on",
                column=options.on[0],
                rows=len(repeated),
                found=f"{options.name}: {len(repeated):,} rows repeat a key ({shown}), so a lookup has no one answer",
                fix="keep one row for each key, or name the table's `time`",
            )
        )
    values = _joined_columns(table, options).take(pa.array(order))
    return JoinTable(keys=keys, values=values, without_time=table.num_rows - len(present))


def as_of_table(table: pa.Table, options: JoinOptions) -> JoinTable:
    """The feature table, sorted for as-of joins: of each key, only the rows that are the latest known at some moment.

    An as-of join on `time` alone or on `known_at` alone picks wrong rows as soon as corrections arrive late. This one
    is exact, in O(n log n): of each key, in the order of available = max(time, known_at), it keeps the rows that raise
    the running maximum of (time, known_at). Then an as-of join on `available` is the answer.
    """
    time = table[options.time]
    known_at = table[options.known_at] if options.known_at else time
    keys, key = JoinKeys.fit([table[column] for column in options.on])
    usable = np.flatnonzero((key != NONE) & pc.and_(pc.is_valid(time), pc.is_valid(known_at)).to_numpy())
    times, key = in_unit(time.take(pa.array(usable)), options.unit), key[usable]
    known = in_unit(known_at.take(pa.array(usable)), options.unit) if options.known_at else times
    codes = TimeCodes.fit(np.maximum(times, known), int(key.max(initial=0)) + 1)
    available = key * codes.width + codes.of(np.maximum(times, known))
    ranks = (available, times, known) if options.known_at else (available,)  # without known_at they are the same
    order = np.lexsort(ranks[::-1]) if options.known_at else np.argsort(available)
    tie, duplicates = _content_rank(table, usable, order, ranks)
    order = np.lexsort((tie, *ranks[::-1])) if duplicates else order
    if options.known_at:
        kept = order[_raises_maximum(key[order], times[order], known[order], tie[order])]
    else:  # only the last row of each (key, time) can win
        last = np.ones(len(order), bool)
        last[:-1] = np.diff(available[order]) != 0
        kept = order[last]
    return JoinTable(
        keys=keys,
        values=_joined_columns(table, options).take(pa.array(usable[kept])),
        index=AsOfIndex(
            unit=options.unit,
            max_age=None if options.max_age is None else _in_unit(options.max_age, options.unit),
            codes=codes,
            available=available[kept],
            times=times[kept],
        ),
        duplicates=duplicates,
        granularity=None if options.known_at else _granularity(times, options.unit),
        without_time=table.num_rows - len(usable),
    )


def _in_unit(length: timedelta, unit: str) -> int:
    return min(length // timedelta(microseconds=1) * (PER_SECOND[unit] // 1_000_000), LAST_NS)


def _granularity(times: Ints, unit: str) -> str | None:
    """`day` or `hour` if every time is the start of one."""
    lengths = {"day": 86_400 * PER_SECOND[unit], "hour": 3_600 * PER_SECOND[unit]}
    return next((word for word, length in lengths.items() if len(times) and not (times % length).any()), None)


def _raises_maximum(key: Ints, *ranks: Ints) -> NDArray[np.intp]:
    """Positions of the rows that are above all earlier rows of their key by `ranks`.

    The rows are sorted by (key, available, ranks).
    """
    if not len(key):
        return np.zeros(0, np.intp)
    dense = np.empty(len(key), np.int64)
    by_rank = np.lexsort((*reversed(ranks),))
    step = np.zeros(len(key), bool)
    for rank in ranks:
        step[1:] |= np.diff(rank[by_rank]) != 0
    dense[by_rank] = np.cumsum(step)
    height = key * (dense.max() + 1) + dense  # keys ascend, so the running maximum starts anew with each key
    top = np.maximum.accumulate(height)
    return np.flatnonzero(height > np.concatenate([[-1], top[:-1]]))


def _content_rank(
    table: pa.Table, usable: NDArray[np.intp], order: NDArray[np.intp], ranks: Sequence[Ints]
) -> tuple[Ints, int]:
    """The rank by content hash among rows of equal `ranks`, 0 elsewhere; and the rows that lose a tie.

    `order` sorts the rows by `ranks`, which are the same for rows of one (key, time, known_at) and for no others.
    """
    same = np.ones(len(order), bool)
    same[:1] = False
    for rank in ranks:
        same[1:] &= np.diff(rank[order]) == 0
    tied = order[same | np.concatenate([same[1:], [False]])]
    rank = np.zeros(len(order), np.int64)
    if len(tied):
        hashes = hash_rows(table.take(pa.array(usable[tied])))
        rank[tied] = np.unique(hashes, return_inverse=True)[1] + 1
    return rank, int(same.sum())


def _joined_columns(table: pa.Table, options: JoinOptions) -> pa.Table:
    """The columns that the label rows get, by canonical name, each in one chunk."""
    names = [f"{options.name}.{column}" for column in options.columns]
    return table.select(list(options.columns)).rename_columns(names).combine_chunks()
