"""One pass over the joined rows: counts, statistics of each column, a sample by key hash.

Every later stage does arithmetic on this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import Kind, as_declared
from ray_pipeline.components.sources._base import Footers
from ray_pipeline.data.rows import RowCounts
from ray_pipeline.data.table import Table
from ray_pipeline.profiling.block_summary import BlockSummary, SummaryOptions, TimeRange, read_summary, summarize
from ray_pipeline.profiling.column_statistics import ColumnStatistics
from ray_pipeline.profiling.label_folds import outcome_arrays
from ray_pipeline.profiling.requirements import (
    label_classes,
    require_keys_and_times,
    require_rows,
    require_unique_keys,
    require_weighted_classes,
    require_weights,
    shown_ranges,
)
from ray_pipeline.profiling.row_hashes import RowHashes
from ray_pipeline.runtime.scratch import ScratchHashes
from ray_pipeline.spec import Spec
from ray_pipeline.values import PARTS, Finding

SAMPLE_ROWS, SAMPLE_CELLS = 10_000, 20_000_000
MAX_HASHES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What one pass over the rows finds."""

    types: Mapping[str, pa.DataType]
    """Of every feature, as the model takes it."""
    columns: Mapping[str, ColumnStatistics]
    """Of every feature, over the training rows."""
    counts: RowCounts
    parts: Mapping[str, int]
    """Rows of each part."""
    mean_weight: float = 1.0
    """Of the training rows."""
    labels: Mapping[str, Mapping[str, int]]
    """Rows by part and label value (classification), or nothing (regression)."""
    classes: tuple[str, ...]
    sample: pa.Table
    """At most `SAMPLE_ROWS` training rows, those with the smallest key hashes: roles, features and slice columns."""
    time_ranges: Mapping[str, TimeRange] = field(default_factory=dict)
    """First and last timestamp of each part, if labels have a time."""
    evaluation_samples: Mapping[str, pa.Table] = field(default_factory=dict)
    """The same kind of sample of validation and of test."""
    row_hashes: RowHashes = field(default_factory=lambda: RowHashes.concat([], 1.0))
    time_granularity: Mapping[str, str] = field(default_factory=dict)
    """`day` or `hour`, for each feature table without `known_at` whose times are all the start of one."""
    footers: Mapping[str, Footers] = field(default_factory=dict)
    """By table."""
    outcomes: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(default_factory=dict)
    """For each column that is encoded by the label: rows and sums of labels of each value by fold, shape (2, FOLDS)."""

    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The fingerprint of each table, with its files, rows and bytes."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Rows that no part holds, by the reason."""
    joins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """How the label rows fared in each join, and how the table is joined."""
    test_part: str = ""
    """The name of the test part: two runs with it judge on the same rows."""
    declared: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Features whose kind the spec says, with the type in which they are read."""
    findings: tuple[Finding, ...] = ()
    """What the checks found, the gravest first."""

    def rows_as_json(self) -> dict[str, Any]:
        """Rows of each part, and of those dropped."""
        return {**self.parts, "dropped": self.dropped}

    def label_rates(self, part: str) -> tuple[list[float], int]:
        """The share of each class in a part, and the part's rows; no shares for regression."""
        counts = self.labels.get(part, {})
        return [counts.get(name, 0) / max(self.parts[part], 1) for name in self.classes], self.parts[part]

    def class_weight(self, how: Any) -> tuple[float, ...] | None:
        """A factor for each class.

        Parameters
        ----------
        how
            `balanced`, a weight by class out of `classes`, or None.

        Returns
        -------
        tuple of float or None
            In the order of `classes`: n / (classes x rows of the class) for `balanced`, so that every class weighs the
            same; or the given weights, 1 for a class without one, by their mean over the training rows; or None.
        """
        if how is None or not self.classes:
            return None
        rows = [self.labels["train"].get(name, 0) for name in self.classes]
        if how == "balanced":
            return tuple(self.parts["train"] / (len(self.classes) * max(one, 1)) for one in rows)
        given = [float(how.get(name, 1.0)) for name in self.classes]
        mean = float(np.average(given, weights=rows))
        return tuple(weight / mean for weight in given)

    def quantiles(self, column: str, bins: int) -> list[float]:
        """The inner edges of equally filled bins of a number.

        Parameters
        ----------
        column
            A column of the sample, by canonical name.
        bins
            Number of bins, at least 1.

        Returns
        -------
        list of float
            Ascending; fewer than `bins` - 1 where values repeat, and none where every value is missing or infinite.
        """
        values = self.sample[column].cast(pa.float64(), safe=False).drop_null().to_numpy()
        values = values[np.isfinite(values)]
        return np.unique(np.quantile(values, np.arange(1, bins) / bins)).tolist() if len(values) else []


def profile_rows(table: Table, spec: Spec) -> Profile:
    """Statistics of the joined rows of every part.

    Raises
    ------
    DataError
        A key is repeated, a part has no rows or no weight, the label has one class, or a weight is for no class.
    """
    builder, options = table.row_builder, _options(table, spec)

    kinds = declared_kinds(table, spec)

    def summarize_block(block: pa.Table) -> pa.Table:
        rows, counts = builder(block)
        return summarize(as_kinds(rows, kinds), counts, options)

    total, keys, row_hashes = BlockSummary(), ScratchHashes(), list[RowHashes]()
    with table.locating_errors():
        for row in (row for block in table.map_blocks(summarize_block) for row in block.to_pylist()):
            summary, block_keys, block_hashes = read_summary(row)
            total = total + summary
            keys.add(block_keys)
            row_hashes.append(block_hashes)
    require_keys_and_times(total.counts, spec)
    if spec.features.labels.key is not None:
        require_unique_keys(keys, spec)
    require_rows(total, table, spec)
    require_weights(total, spec)
    classes = label_classes(total, spec) if options.classify else ()
    require_weighted_classes(classes, spec)
    return Profile(
        types={**table.features, **{name: KINDS[kind] for name, kind in kinds.items()}},
        declared={name: table.features[name] for name in kinds},
        columns=total.columns,
        counts=total.counts,
        parts=total.parts,
        mean_weight=total.weights["train"] / total.parts["train"],
        labels=total.labels,
        classes=classes,
        sample=total.sampled(0),
        time_ranges=shown_ranges(total.time_ranges, spec),
        evaluation_samples={part: total.sampled(PARTS.index(part)) for part in PARTS[1:]},
        row_hashes=RowHashes.concat(row_hashes, options.hash_share),
        time_granularity=table.time_granularity,
        footers=table.footers,
        outcomes=outcome_arrays(total.outcomes),
    )


KINDS: Mapping[str, pa.DataType] = {"category": pa.string(), "number": pa.float64()}
"""The types of columns whose kind the spec says."""


def declared_kinds(table: Table, spec: Spec) -> dict[str, Kind]:
    """The kinds that the spec says, by canonical name of the feature."""
    said = {table.canonical(name): chosen.type_ for name, chosen in spec.encode.items() if chosen.type_}
    return {name: kind for name, kind in said.items() if name in table.features}


def as_kinds(rows: pa.Table, kinds: Mapping[str, Kind]) -> pa.Table:
    """The rows with some columns as the kinds that the spec says."""
    for name, kind in kinds.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, as_declared(name, rows[name], kind))
    return rows


def _options(table: Table, spec: Spec) -> SummaryOptions:
    """What the summary of each block holds."""
    group = getattr(spec.split, "group", None) or spec.evaluate.cluster
    return SummaryOptions(
        features=tuple(table.features),
        group=None if group is None else table.canonical(group),
        classify=spec.task != "regression",
        sample_rows=min(SAMPLE_ROWS, SAMPLE_CELLS // max(len(table.features), 1)),
        hash_share=min(1.0, MAX_HASHES / table.num_rows),
        by_label=tuple(table.canonical(name) for name, options in spec.encode.items() if options.by_label),
    )
