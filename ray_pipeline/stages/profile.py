"""One pass over the joined rows: counts, statistics of each column, a sample by key hash. Everything later is arithmetic on this."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.hashing import hash_values
from ray_pipeline.runtime.session import arrow_blocks
from ray_pipeline.spec import Spec
from ray_pipeline.stages.column_profile import ColumnProfile, profile_column, value_counts
from ray_pipeline.stages.join import JoinCounts
from ray_pipeline.stages.read import Table
from ray_pipeline.stages.rows import KEY, LABEL, PART, TIME, RowCounts
from ray_pipeline.values import PARTS

SAMPLE_ROWS = 10_000
SAMPLE_SEED = 0xA11CE  # not a split's seed: the sample must not depend on which rows went to test


@dataclass(frozen=True)
class Profile:
    """All that one pass found out."""

    types: Mapping[str, pa.DataType]
    columns: Mapping[str, ColumnProfile]
    counts: RowCounts
    parts: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    """Rows by part and label value (classification), or nothing (regression)."""
    classes: tuple[str, ...]
    sample: pa.Table
    """Training rows with the smallest key hashes, at most `SAMPLE_ROWS`: role columns, features, slice columns."""
    last_time: Mapping[str, str]
    """Of each part: from when to when, where labels have a time."""

    def label_rates(self, part: str) -> tuple[list[float], int]:
        """The share of each class in a part, and the part's rows; no shares for regression."""
        counts = self.labels.get(part, {})
        return [counts.get(name, 0) / max(self.parts[part], 1) for name in self.classes], self.parts[part]

    def class_weight(self, how: Any) -> tuple[float, ...] | None:
        """A factor for each class: `balanced` makes every class weigh the same (n / (classes x rows of the class)); or as written; or None."""
        if how is None or not self.classes:
            return None
        counts = self.labels["train"]
        if how == "balanced":
            return tuple(self.parts["train"] / (len(self.classes) * max(counts.get(name, 0), 1)) for name in self.classes)
        return tuple(float(how.get(name, 1.0)) for name in self.classes)

    def quantiles(self, column: str, bins: int) -> list[float]:
        """The inner edges of `bins` equally filled bins of a number, from the sample of training rows."""
        values = self.sample[column].cast(pa.float64(), safe=False).drop_null().to_numpy()
        return np.unique(np.quantile(values, np.arange(1, bins) / bins)).tolist() if len(values) else []


def profile(table: Table, spec: Spec) -> Profile:
    """Statistics of the joined, parted rows. Raises `DataError` for an empty part, a label with one class, a repeated key."""
    maker, classify, features = table.maker, spec.task != "regression", tuple(table.features)

    def summarize(block: pa.Table) -> pa.Table:
        rows, counts = maker(block)
        return _to_block(_summarize(rows, counts, features, classify))

    state = _Summary()
    keys: list[NDArray[np.uint64]] = []
    for block in arrow_blocks(table.blocks(), summarize):
        for found in block.to_pylist():
            keys.append(np.frombuffer(found["keys"], np.uint64))
            state = state + _from_block(found)
    if spec.features.labels.key:
        _unique(np.concatenate(keys) if keys else np.zeros(0, np.uint64), spec)
    _every_part(state, table, spec)
    classes = _classes(state, table, spec) if classify else ()
    return Profile({**table.features}, state.columns, state.counts, state.parts, state.labels, classes, state.sample, state.spans)


@dataclass(frozen=True)
class _Summary:
    """What one block says; adds in the order of blocks, so that the bytes of every statistic repeat."""

    counts: RowCounts = field(default_factory=RowCounts)
    parts: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)
    spans: Mapping[str, Any] = field(default_factory=dict)
    sample: pa.Table | None = None

    def __add__(self, other: "_Summary") -> "_Summary":
        return _Summary(
            self.counts + other.counts,
            {part: self.parts.get(part, 0) + other.parts.get(part, 0) for part in PARTS},
            {part: _add(self.labels.get(part, {}), other.labels.get(part, {})) for part in PARTS},
            {name: self.columns.get(name, ColumnProfile()) + column for name, column in other.columns.items()} or self.columns,
            {part: _span(self.spans.get(part), other.spans.get(part)) for part in {**self.spans, **other.spans}},
            _lowest(self.sample, other.sample),
        )


def _summarize(rows: pa.Table, counts: RowCounts, features: tuple[str, ...], classify: bool) -> tuple[_Summary, NDArray[np.uint64]]:
    hashes = hash_values(rows[KEY], SAMPLE_SEED)
    part = rows[PART].to_numpy()
    train = rows.filter(pc.equal(rows[PART], 0))
    sample = train.append_column("__hash", pa.array(hashes[part == 0]))
    spans: dict[str, Any] = {}
    for code, name in enumerate(PARTS):
        if TIME in rows.column_names and (part == code).any():
            span = pc.min_max(rows[TIME].filter(pa.array(part == code))).as_py()
            spans[name] = [str(span["min"]), str(span["max"])]
    summary = _Summary(
        counts,
        {name: int((part == code).sum()) for code, name in enumerate(PARTS)},
        {name: value_counts(rows[LABEL].filter(pa.array(part == code))) for code, name in enumerate(PARTS)} if classify else {},
        {name: profile_column(train[name]) for name in features},
        spans,
        _lowest(None, sample),
    )
    return summary, hashes


def _lowest(first: pa.Table | None, second: pa.Table | None) -> pa.Table | None:
    if first is None or second is None:
        both = first if second is None else second
    else:
        both = pa.concat_tables([first, second], promote_options="permissive")
    if both is None or both.num_rows <= SAMPLE_ROWS:
        return both
    return both.take(pa.array(np.sort(np.argsort(both["__hash"].to_numpy(), kind="stable")[:SAMPLE_ROWS])))


def _add(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {value: first.get(value, 0) + second.get(value, 0) for value in {**first, **second}}


def _span(first: Any, second: Any) -> Any:
    return [min(first[0], second[0]), max(first[1], second[1])] if first and second else first or second


def _to_block(found: tuple[_Summary, NDArray[np.uint64]]) -> pa.Table:
    """The summary as one row: JSON, the sample as an Arrow stream, the key hashes as bytes; nothing pickled."""
    summary, hashes = found
    counts = {**vars(summary.counts), "joins": {name: {**vars(join), "ages": list(join.ages.items())} for name, join in summary.counts.joins.items()}}
    plain = {
        "counts": counts,
        "parts": summary.parts,
        "labels": summary.labels,
        "spans": summary.spans,
        "columns": {name: vars(column) for name, column in summary.columns.items()},
    }
    sink = pa.BufferOutputStream()
    assert summary.sample is not None
    with pa.ipc.new_stream(sink, summary.sample.schema) as stream:
        stream.write_table(summary.sample)
    return pa.table(
        {
            "summary": [json.dumps(plain)],
            "sample": pa.array([sink.getvalue().to_pybytes()], pa.large_binary()),
            "keys": pa.array([hashes.tobytes()], pa.large_binary()),
        }
    )


def _from_block(row: Mapping[str, Any]) -> _Summary:
    plain = json.loads(row["summary"])
    joins = {name: JoinCounts(**{**join, "ages": dict(join["ages"])}) for name, join in plain["counts"]["joins"].items()}
    columns = {name: ColumnProfile(**column) for name, column in plain["columns"].items()}
    return _Summary(
        RowCounts(**{**plain["counts"], "joins": joins}), plain["parts"], plain["labels"], columns, plain["spans"], pa.ipc.open_stream(row["sample"]).read_all()
    )


def _unique(hashes: NDArray[np.uint64], spec: Spec) -> None:
    """Keys must be unique: two rows of one key would be two answers to one question (64-bit hashes; a false alarm is one in 10^8 at 600,000 rows)."""
    doubled = len(hashes) - len(np.unique(hashes))
    if doubled:
        file, line = spec.place("features.labels.key")
        key = spec.features.labels.key
        raise DataError(
            Problem(
                file=file,
                line=line,
                key="features.labels.key",
                stage="profile",
                column=key,
                rows=doubled,
                found=f"{key!r} is not unique: {doubled:,} rows repeat a key",
                fix="name a unique key, or leave `key` out",
            )
        )


def _every_part(state: _Summary, table: Table, spec: Spec) -> None:
    empty = [part for part in PARTS if not state.parts.get(part)]
    if not empty:
        return
    counts = state.counts
    file, line = spec.place("split")
    if not any(state.parts.values()):
        left = table.num_rows - table.out_of_range
        raise DataError(
            Problem(
                stage="read",
                rows=0,
                found=f"0 rows left of {table.num_rows:,}: {table.out_of_range:,} out of range, {left - counts.scanned + counts.where:,} by `where`, {counts.null_label:,} without a label, {counts.gap:,} in a gap",
                fix="widen `select`",
            )
        )
    found = f"{listed(empty)} {'is' if len(empty) == 1 else 'are'} empty: " + ", ".join(f"{part} {state.parts.get(part, 0):,}" for part in PARTS) + " rows"
    times = f"; labels.time goes from {min(s[0] for s in state.spans.values())} to {max(s[1] for s in state.spans.values())}" if state.spans else ""
    raise DataError(
        Problem(
            file=file,
            line=line,
            key="split",
            stage="split",
            rows=0,
            found=found + times,
            fix="move the cut dates" if spec.split.by == "time" else "ask for larger shares",
        )
    )


def _classes(state: _Summary, table: Table, spec: Spec) -> tuple[str, ...]:
    file, line = spec.place("features.labels.label")
    text = spec.features.labels.label
    for part in PARTS:
        if len(state.labels[part]) == 1 and spec.task == "binary":
            (only,) = state.labels[part]
            shown = {"0": "false (0)", "1": "true (1)"}.get(only, only)
            raise DataError(
                Problem(
                    file=file,
                    line=line,
                    key="features.labels.label",
                    stage="split",
                    column=text,
                    rows=state.parts[part],
                    found=f"the label has one class in {part}: {shown} in all {state.parts[part]:,} rows",
                    fix="mend the label's condition, or split otherwise",
                )
            )
    known = state.labels["train"]
    unseen = {value: count for part in PARTS for value, count in state.labels[part].items() if value not in known}
    if unseen:
        raise DataError(
            Problem(
                file=file,
                line=line,
                key="features.labels.label",
                stage="split",
                column=text,
                rows=sum(unseen.values()),
                found=f"classes that train never shows: {listed(f'{v!r} ({n} rows)' for v, n in unseen.items())}",
                fix="leave them out with `select.where`, or split otherwise",
            )
        )
    if spec.task == "binary":
        return ("0", "1")
    if len(known) < 2:
        raise DataError(
            Problem(
                file=file,
                line=line,
                key="features.labels.label",
                stage="split",
                column=text,
                found=f"the label has one class: {listed(known)}",
                fix="multiclass needs at least two",
            )
        )
    whole = all(value.lstrip("-").isdigit() for value in known)
    return tuple(sorted(known, key=(lambda v: (int(v), v)) if whole else (lambda v: (0, v))))
