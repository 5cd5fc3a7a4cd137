"""One pass over the joined rows: counts, statistics of each column, a sample by key hash. Everything later is
arithmetic on this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.sources._base import Footers
from ray_pipeline.data.read import Table
from ray_pipeline.data.rows import RowCounts
from ray_pipeline.profiling.block_summary import (
    BlockSummary,
    RowHashes,
    SummaryOptions,
    outcome_arrays,
    read_summary,
    summarize,
)
from ray_pipeline.profiling.column_statistics import ColumnProfile
from ray_pipeline.profiling.requirements import (
    classes_of,
    refuse_empty_parts,
    refuse_repeated_keys,
    refuse_weightless_parts,
)
from ray_pipeline.runtime.session import arrow_blocks
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS

SAMPLE_ROWS, SAMPLE_CELLS = 10_000, 20_000_000
PRINTS = 2_000_000


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
    """Training rows with the smallest key hashes, at most `SAMPLE_ROWS`: role columns, features, slice columns, what
    the label was made of."""
    last_time: Mapping[str, Any]
    """Of each part: from when to when, where labels have a time."""
    judged: Mapping[str, pa.Table] = field(default_factory=dict)
    """The like sample of validation and of test."""
    row_hashes: RowHashes = field(default_factory=lambda: RowHashes.joined([], 1.0))
    time_granularity: Mapping[str, str] = field(default_factory=dict)
    """Feature tables whose times all stand at the start of a `day` or an `hour`, though nothing says when their rows
    became known."""
    footers: Mapping[str, Footers] = field(default_factory=dict)
    outcomes: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(default_factory=dict)
    """Of columns that are encoded by the label: rows and sum of labels of each value by fold, each of shape (2,
    FOLDS)."""

    def label_rates(self, part: str) -> tuple[list[float], int]:
        """The share of each class in a part, and the part's rows; no shares for regression."""
        counts = self.labels.get(part, {})
        return [counts.get(name, 0) / max(self.parts[part], 1) for name in self.classes], self.parts[part]

    def class_weight(self, how: Any) -> tuple[float, ...] | None:
        """A factor for each class: `balanced` makes every class weigh the same (n / (classes x rows of the class)); or
        as written; or None."""
        if how is None or not self.classes:
            return None
        counts = self.labels["train"]
        if how == "balanced":
            return tuple(
                self.parts["train"] / (len(self.classes) * max(counts.get(name, 0), 1)) for name in self.classes
            )
        return tuple(float(how.get(name, 1.0)) for name in self.classes)

    def quantiles(self, column: str, bins: int) -> list[float]:
        """The inner edges of `bins` equally filled bins of a number, from the sample of training rows."""
        values = self.sample[column].cast(pa.float64(), safe=False).drop_null().to_numpy()
        return np.unique(np.quantile(values, np.arange(1, bins) / bins)).tolist() if len(values) else []


def profile(table: Table, spec: Spec) -> Profile:
    """Statistics of the joined, parted rows. Raises `DataError` for an empty part, a label with one class, a repeated
    key."""
    maker = table.maker
    group = getattr(spec.split, "group", None) or spec.evaluate.cluster
    look = SummaryOptions(
        features=tuple(table.features),
        group=table.canonical(group) if group else None,
        classify=spec.task != "regression",
        sample_rows=min(SAMPLE_ROWS, SAMPLE_CELLS // max(len(table.features), 1)),
        hash_share=min(1.0, PRINTS / table.num_rows),
        by_label=tuple(table.canonical(name) for name, chosen in spec.encode.items() if chosen.by_label),
    )

    def summarized(block: pa.Table) -> pa.Table:
        return summarize(*maker(block), look)

    state = BlockSummary()
    keys: list[NDArray[np.uint64]] = []
    row_hashes: list[RowHashes] = []
    with table.scanning():
        for row in (row for block in arrow_blocks(table.blocks(), summarized) for row in block.to_pylist()):
            found, hashes, printed = read_summary(row)
            state = state + found
            keys.append(hashes)
            row_hashes.append(printed)
    if spec.features.labels.key:
        refuse_repeated_keys(np.concatenate([*keys, np.zeros(0, np.uint64)]), spec)
    refuse_empty_parts(state, table, spec)
    refuse_weightless_parts(state, spec)
    classes = classes_of(state, spec) if look.classify else ()
    return Profile(
        {**table.features},
        state.columns,
        state.counts,
        state.parts,
        state.labels,
        classes,
        state.sampled(0),
        state.spans,
        {part: state.sampled(PARTS.index(part)) for part in PARTS[1:]},
        RowHashes.joined(row_hashes, look.hash_share),
        table.time_granularity,
        table.footers,
        outcome_arrays(state.outcomes),
    )
