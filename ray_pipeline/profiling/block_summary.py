"""The summary of one block of rows, and its way to the driver as one row of JSON, Arrow and bytes.

Nothing is pickled. Summaries add up in the order of the blocks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.data.join_counts import JoinCounts
from ray_pipeline.data.labels import class_names
from ray_pipeline.data.rows import KEY, LABEL, PART, TIME, WEIGHT, RowCounts
from ray_pipeline.hashing import hash_values
from ray_pipeline.profiling.column_statistics import ColumnStatistics, describe_column, value_counts
from ray_pipeline.profiling.label_folds import add_outcomes, outcomes_by_fold
from ray_pipeline.profiling.row_hashes import HASH_TYPES, RowHashes, hash_block
from ray_pipeline.values import INTERNAL, PARTS

SAMPLE_SEED = 0xA11CE  # no seed of a split: the sample must not depend on which rows went to test
HASH = f"{INTERNAL}hash"
TimeRange = list[str]
"""First and last timestamp, as text."""


@dataclass(frozen=True, kw_only=True)
class SummaryOptions:
    """What a summary holds."""

    features: tuple[str, ...]
    group: str | None
    """The column whose values must stay within one part, if there is one."""
    classify: bool
    """Whether the label is a class, whose rows are counted."""
    sample_rows: int
    """Rows of each part to sample: those with the smallest key hashes."""
    hash_share: float
    """The share of all contents (by hash) whose row hashes are kept."""
    by_label: tuple[str, ...] = ()
    """The categories that are encoded by the label."""


@dataclass(frozen=True, kw_only=True)
class BlockSummary:
    """The summary of some blocks.

    Summaries add with `+`, in the order of the blocks, so that every statistic repeats byte for byte.
    """

    counts: RowCounts = field(default_factory=RowCounts)
    parts: Mapping[str, int] = field(default_factory=dict)
    """Rows of each part."""
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Rows by part and label value (classification), or nothing (regression)."""
    columns: Mapping[str, ColumnStatistics] = field(default_factory=dict)
    time_ranges: Mapping[str, TimeRange] = field(default_factory=dict)
    """By part, if labels have a time."""
    sample: pa.Table | None = None
    """The rows of each part with the smallest key hashes."""
    sample_rows: int = 0
    outcomes: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """For each column that is encoded by the label, see `outcomes_by_fold`."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Sum of the rows' weights in each part."""

    def __add__(self, other: "BlockSummary") -> "BlockSummary":
        columns = {name: self.columns.get(name, ColumnStatistics()) + one for name, one in other.columns.items()}
        outcomes = {name: add_outcomes(self.outcomes.get(name, {}), one) for name, one in other.outcomes.items()}
        time_ranges = {
            part: _cover(self.time_ranges.get(part), other.time_ranges.get(part))
            for part in {**self.time_ranges, **other.time_ranges}
        }
        sample_rows = max(self.sample_rows, other.sample_rows)
        samples = [table for table in (self.sample, other.sample) if table is not None]
        return BlockSummary(
            counts=self.counts + other.counts,
            parts={part: self.parts.get(part, 0) + other.parts.get(part, 0) for part in PARTS},
            labels={part: _add(self.labels.get(part, {}), other.labels.get(part, {})) for part in PARTS},
            columns=columns or self.columns,
            time_ranges=time_ranges,
            sample=smallest_hashes(samples, sample_rows),
            sample_rows=sample_rows,
            outcomes=outcomes or self.outcomes,
            weights={part: self.weights.get(part, 0.0) + other.weights.get(part, 0.0) for part in PARTS},
        )

    def sampled(self, part: int) -> pa.Table:
        """The sampled rows of one part."""
        assert self.sample is not None
        return self.sample.filter(pc.equal(self.sample[PART], part))


def summarize(rows: pa.Table, counts: RowCounts, options: SummaryOptions) -> pa.Table:
    """The summary of one block, as a table of one row; `read_summary` is its inverse.

    Parameters
    ----------
    rows
        Rows with the role columns and all features.
    counts
        What became of the block's rows.
    options
        What the summary holds.
    """
    hashes, part = hash_values(rows[KEY], SAMPLE_SEED), rows[PART].to_numpy()
    train = rows.filter(pc.equal(rows[PART], 0))
    labels_and_times = rows.select([name for name in (LABEL, TIME) if name in rows.column_names])
    of_part = {name: labels_and_times.filter(pc.equal(rows[PART], code)) for code, name in enumerate(PARTS)}
    summary = BlockSummary(
        counts=counts,
        parts={name: some.num_rows for name, some in of_part.items()},
        labels={name: value_counts(class_names(some[LABEL])) for name, some in of_part.items()}
        if options.classify
        else {},
        columns={name: describe_column(train[name]) for name in options.features},
        time_ranges={
            name: _time_range(some[TIME]) for name, some in of_part.items() if TIME in some.column_names and len(some)
        },
        sample=smallest_hashes([rows.append_column(HASH, pa.array(hashes))], options.sample_rows),
        sample_rows=options.sample_rows,
        outcomes={name: outcomes_by_fold(train, name) for name in options.by_label},
        weights=dict(zip(PARTS, np.bincount(part, rows[WEIGHT].to_numpy(), len(PARTS)).tolist(), strict=True)),
    )
    return _to_row(summary, hashes, hash_block(rows, part, options.features, options.group, options.hash_share))


def read_summary(row: Mapping[str, Any]) -> tuple[BlockSummary, bytes, RowHashes]:
    """The summary of a block from its row.

    Returns
    -------
    tuple of BlockSummary, bytes and RowHashes
        The summary, the hash of every key in 8 bytes, and the hashes of rows.
    """
    plain = json.loads(row["summary"])
    counts = plain.pop("counts")
    joins = {name: JoinCounts(**{**join, "ages": dict(join["ages"])}) for name, join in counts.pop("joins").items()}
    columns = {name: ColumnStatistics(**column) for name, column in plain.pop("columns").items()}
    summary = BlockSummary(
        **plain,
        counts=RowCounts(**counts, joins=joins),
        columns=columns,
        sample=pa.ipc.open_stream(row["sample"]).read_all(),
    )
    hashes = {name: np.frombuffer(row[name], type_) for name, type_ in HASH_TYPES.items()}
    return summary, row["keys"], RowHashes(**hashes, share=1.0)


def smallest_hashes(tables: list[pa.Table], num_rows: int) -> pa.Table | None:
    """The `num_rows` rows of each part with the smallest hashes, in the given order; None without a table."""
    if not tables:
        return None
    rows = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
    part, hashes = rows[PART].to_numpy(), rows[HASH].to_numpy()
    if max(np.bincount(part, minlength=3), default=0) <= num_rows:
        return rows
    order = np.lexsort((hashes, part))
    rank = np.arange(len(order)) - np.searchsorted(part[order], part[order])
    return rows.take(pa.array(np.sort(order[rank < num_rows])))


def _to_row(summary: BlockSummary, keys: NDArray[np.uint64], row_hashes: RowHashes) -> pa.Table:
    """The row that `read_summary` reads."""
    counts = summary.counts
    joins = {name: {**vars(join), "ages": list(join.ages.items())} for name, join in counts.joins.items()}
    plain = {
        **{name: value for name, value in vars(summary).items() if name != "sample"},
        "counts": {**vars(counts), "joins": joins},
        "columns": {name: vars(column) for name, column in summary.columns.items()},
    }
    sink = pa.BufferOutputStream()
    assert summary.sample is not None
    with pa.ipc.new_stream(sink, summary.sample.schema) as stream:
        stream.write_table(summary.sample)
    contents = {
        "sample": sink.getvalue().to_pybytes(),
        "keys": keys.tobytes(),
        **{name: getattr(row_hashes, name).tobytes() for name in HASH_TYPES},
    }
    binary = {name: pa.array([content], pa.large_binary()) for name, content in contents.items()}
    return pa.table({"summary": [json.dumps(plain)], **binary})


def _time_range(times: pa.ChunkedArray) -> TimeRange:
    zone = "+00:00" if pa.types.is_timestamp(times.type) and times.type.tz else ""
    plain = times.cast(pa.int64()).cast(pa.timestamp(times.type.unit)) if zone else times  # text without the zone
    return [_time_text(end.cast(pa.string()).as_py()) + zone for end in pc.min_max(plain).values()]


def _time_text(text: str) -> str:
    """The time without zeros at the end of a second's fraction."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _cover(first: TimeRange | None, second: TimeRange | None) -> TimeRange:
    """The range over both."""
    return [min(first[0], second[0]), max(first[1], second[1])] if first and second else first or second or []


def _add(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {value: first.get(value, 0) + second.get(value, 0) for value in {**first, **second}}
