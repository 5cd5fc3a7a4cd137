"""What one block of rows says, as one row that travels to the driver: plain JSON, Arrow and bytes, nothing pickled.
Summaries add up in order."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._base import FOLDS
from ray_pipeline.data.as_of_join import JoinCounts
from ray_pipeline.data.rows import KEY, LABEL, PART, TIME, WEIGHT, RowCounts
from ray_pipeline.hashing import content_hashes, hash_values, mix
from ray_pipeline.profiling.column_statistics import ColumnProfile, profile_column, value_counts
from ray_pipeline.values import PARTS

SAMPLE_SEED, FOLD_SEED = 0xA11CE, 0xF01D  # no split's seeds: neither may depend on which rows went to test
HASH = "__hash"
PRINTED: dict[str, Any] = {
    "content": np.uint64,
    "labelled": np.uint64,
    "part": np.int8,
    "group": np.uint64,
    "group_part": np.int8,
}


@dataclass(frozen=True)
class SummaryOptions:
    """What to make of each block."""

    features: tuple[str, ...]
    group: str | None
    """The column whose values must stay within one part, if there is one."""
    classify: bool
    sample_rows: int
    """Rows of each part to sample: those with the smallest key hashes."""
    hash_share: float
    """Share of all contents (by hash) whose fingerprints are kept."""
    by_label: tuple[str, ...] = ()
    """Categories to be encoded by the label."""


@dataclass(frozen=True)
class RowHashes:
    """Fingerprints of rows, to tell equal ones: 64-bit hashes of the features, of features and label, and the part of
    each row; shapes (n,)."""

    content: NDArray[np.uint64]
    labelled: NDArray[np.uint64]
    part: NDArray[np.int8]
    group: NDArray[np.uint64]
    """Hash of each group that some row belongs to, once for each block and part; with `group_part`, shapes (m,)."""
    group_part: NDArray[np.int8]
    share: float = 1.0
    """Of all contents (or groups) this share was kept, by hash: an unbiased sample of contents, not of rows."""

    @classmethod
    def joined(cls, row_hashes: list["RowHashes"], share: float) -> "RowHashes":
        """The fingerprints of all blocks."""
        return cls(
            **{
                name: np.concatenate([np.zeros(0, kind), *(getattr(one, name) for one in row_hashes)])
                for name, kind in PRINTED.items()
            },
            share=share,
        )


@dataclass(frozen=True)
class BlockSummary:
    """What blocks say; adds in the order of blocks, so that the bytes of every statistic repeat."""

    counts: RowCounts = field(default_factory=RowCounts)
    parts: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)
    spans: Mapping[str, Any] = field(default_factory=dict)
    sample: pa.Table | None = None
    """Of each part the rows with the smallest key hashes."""
    sample_rows: int = 0
    outcomes: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """Of columns to be encoded by the label, of each value: rows by fold, then sum of labels by fold."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Sum of the rows' weights in each part."""

    def __add__(self, other: "BlockSummary") -> "BlockSummary":
        return BlockSummary(
            self.counts + other.counts,
            {part: self.parts.get(part, 0) + other.parts.get(part, 0) for part in PARTS},
            {part: _add(self.labels.get(part, {}), other.labels.get(part, {})) for part in PARTS},
            {name: self.columns.get(name, ColumnProfile()) + column for name, column in other.columns.items()}
            or self.columns,
            {part: _span(self.spans.get(part), other.spans.get(part)) for part in {**self.spans, **other.spans}},
            lowest(
                [table for table in (self.sample, other.sample) if table is not None],
                max(self.sample_rows, other.sample_rows),
            ),
            max(self.sample_rows, other.sample_rows),
            {name: _add_lists(self.outcomes.get(name, {}), outcomes) for name, outcomes in other.outcomes.items()}
            or self.outcomes,
            {part: self.weights.get(part, 0.0) + other.weights.get(part, 0.0) for part in PARTS},
        )

    def sampled(self, part: int) -> pa.Table:
        """The sampled rows of one part."""
        assert self.sample is not None
        return self.sample.filter(pc.equal(self.sample[PART], part))


def summarize(rows: pa.Table, counts: RowCounts, look: SummaryOptions) -> pa.Table:
    """What the rows of one block say, as a table of one row; `read_summary` is its inverse."""
    hashes, part = hash_values(rows[KEY], SAMPLE_SEED), rows[PART].to_numpy()
    train = rows.filter(pc.equal(rows[PART], 0))
    spans: dict[str, Any] = {}
    for code, name in enumerate(PARTS):
        if TIME in rows.column_names and (part == code).any():
            span = pc.min_max(rows[TIME].filter(pa.array(part == code))).as_py()
            spans[name] = [str(span["min"]), str(span["max"])]
    summary = BlockSummary(
        counts,
        {name: int((part == code).sum()) for code, name in enumerate(PARTS)},
        (
            {name: value_counts(rows[LABEL].filter(pa.array(part == code))) for code, name in enumerate(PARTS)}
            if look.classify
            else {}
        ),
        {name: profile_column(train[name]) for name in look.features},
        spans,
        lowest([rows.append_column(HASH, pa.array(hashes))], look.sample_rows),
        look.sample_rows,
        {name: _outcomes(train, name) for name in look.by_label},
        dict(zip(PARTS, np.bincount(part, rows[WEIGHT].to_numpy(), len(PARTS)).tolist(), strict=True)),
    )
    return _to_row(summary, hashes, _prints(rows, part, look))


def read_summary(row: Mapping[str, Any]) -> tuple[BlockSummary, NDArray[np.uint64], RowHashes]:
    """The summary, the hash of every key, and the fingerprints of rows."""
    plain = json.loads(row["summary"])
    joins = {
        name: JoinCounts(**{**join, "ages": dict(join["ages"])}) for name, join in plain["counts"]["joins"].items()
    }
    columns = {name: ColumnProfile(**column) for name, column in plain["columns"].items()}
    counts = RowCounts(**{**plain["counts"], "joins": joins})
    sample = pa.ipc.open_stream(row["sample"]).read_all()
    summary = BlockSummary(
        counts,
        plain["parts"],
        plain["labels"],
        columns,
        plain["spans"],
        sample,
        plain["sample_rows"],
        plain["outcomes"],
        plain["weights"],
    )
    row_hashes = RowHashes(**{name: np.frombuffer(row[name], kind) for name, kind in PRINTED.items()}, share=1.0)
    return summary, np.frombuffer(row["keys"], np.uint64), row_hashes


def lowest(tables: list[pa.Table], most: int) -> pa.Table | None:
    """Of each part, the `most` rows with the smallest hashes, in the order given."""
    if not tables:
        return None
    both = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
    part, hashes = both[PART].to_numpy(), both[HASH].to_numpy()
    if max(np.bincount(part, minlength=3), default=0) <= most:
        return both
    order = np.lexsort((hashes, part))
    rank = np.arange(len(order)) - np.searchsorted(part[order], part[order])
    return both.take(pa.array(np.sort(order[rank < most])))


def _prints(rows: pa.Table, part: NDArray[np.int8], look: SummaryOptions) -> RowHashes:
    below = np.uint64(min(look.hash_share, 1.0) * (2**64 - 1025))
    content = content_hashes(rows.select(list(look.features)))
    kept = content <= below
    labelled = mix(content[kept] ^ content_hashes(rows.select([LABEL]))[kept])
    if look.group is None:
        pairs = np.zeros((2, 0), np.uint64)
    else:
        groups = mix(content_hashes(rows.select([look.group])))
        known = (groups <= below) & pc.is_valid(rows[look.group]).to_numpy()
        pairs = np.unique(np.stack([groups[known], part[known].astype(np.uint64)]), axis=1)
    return RowHashes(content[kept], labelled, part[kept].astype(np.int8), pairs[0], pairs[1].astype(np.int8))


def _to_row(summary: BlockSummary, hashes: NDArray[np.uint64], row_hashes: RowHashes) -> pa.Table:
    counts = {
        **vars(summary.counts),
        "joins": {name: {**vars(join), "ages": list(join.ages.items())} for name, join in summary.counts.joins.items()},
    }
    plain = {
        "counts": counts,
        "parts": summary.parts,
        "labels": summary.labels,
        "spans": summary.spans,
        "sample_rows": summary.sample_rows,
        "outcomes": summary.outcomes,
        "weights": summary.weights,
        "columns": {name: vars(column) for name, column in summary.columns.items()},
    }
    sink = pa.BufferOutputStream()
    assert summary.sample is not None
    with pa.ipc.new_stream(sink, summary.sample.schema) as stream:
        stream.write_table(summary.sample)
    held = {
        "sample": sink.getvalue().to_pybytes(),
        "keys": hashes.tobytes(),
        **{name: getattr(row_hashes, name).tobytes() for name in PRINTED},
    }
    return pa.table(
        {
            "summary": [json.dumps(plain)],
            **{name: pa.array([content], pa.large_binary()) for name, content in held.items()},
        }
    )


def folds(rows: pa.Table) -> NDArray[np.int8]:
    """The fold of each row for encodings by the label, (n,): by its key's hash."""
    return (hash_values(rows[KEY], FOLD_SEED) % np.uint64(FOLDS)).astype(np.int8)


def outcome_arrays(outcomes: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Rows and sums of labels by fold, each value's of shape (2, FOLDS)."""
    return {
        name: {value: np.reshape(one, (2, FOLDS)) for value, one in values.items()} for name, values in outcomes.items()
    }


def _outcomes(train: pa.Table, name: str) -> dict[str, list[float]]:
    coded = train[name].cast(pa.large_string()).combine_chunks().dictionary_encode()
    known = pc.is_valid(coded).to_numpy(zero_copy_only=False)
    cell = pc.fill_null(coded.indices, 0).to_numpy().astype(np.int64) * FOLDS + folds(train)
    size = len(coded.dictionary) * FOLDS
    rows, total = (
        np.bincount(cell[known], weight, size).reshape(-1, FOLDS) for weight in (None, train[LABEL].to_numpy()[known])
    )
    return {
        value: [*map(float, rows[code]), *total[code].tolist()]
        for code, value in enumerate(coded.dictionary.to_pylist())
    }


def _add_lists(first: Mapping[str, list[float]], second: Mapping[str, list[float]]) -> dict[str, list[float]]:
    nothing = [0.0] * 2 * FOLDS
    return {
        value: [a + b for a, b in zip(first.get(value, nothing), second.get(value, nothing), strict=True)]
        for value in {**first, **second}
    }


def _add(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {value: first.get(value, 0) + second.get(value, 0) for value in {**first, **second}}


def _span(first: Any, second: Any) -> Any:
    return [min(first[0], second[0]), max(first[1], second[1])] if first and second else first or second
