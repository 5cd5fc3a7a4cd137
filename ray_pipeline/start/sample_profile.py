"""The product's own profile and checks, over the sampled rows, without Ray."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from ray_pipeline.data.column_checks import check_columns
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.rows import RowBuilder, RowCounts
from ray_pipeline.profiling.block_summary import SummaryOptions, read_summary, summarize
from ray_pipeline.profiling.findings import check
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.profiling.row_hashes import RowHashes
from ray_pipeline.spec import Spec
from ray_pipeline.start.join import JoinProposal
from ray_pipeline.start.table import StartTable
from ray_pipeline.values import PARTS, Finding


def sample_rows(
    spec: Spec, labels: StartTable, joins: Sequence[JoinProposal]
) -> tuple[pa.Table, RowCounts, ResolvedColumns]:
    """The sampled label rows as a run would see them: joined, labelled, each in its part.

    Raises
    ------
    DataError
        A column is unfit for its role.
    """
    tables = {"labels": labels, **{join.name: join.table for join in joins}}
    columns = ResolvedColumns(spec, {name: table.schema for name, table in tables.items()})
    check_columns(columns)
    block = labels.sample
    for join in joins:
        for name in join.rows.column_names:
            block = block.append_column(name, join.rows[name])
    label = spec.label_expression
    builder = RowBuilder(
        task=spec.task,
        label=label,
        key=spec.features.labels.key,
        time=spec.features.labels.time,
        weight=None,
        joins=(),
        columns=tuple(dict.fromkeys([*columns.features, *columns.slice_columns])),
        resolve=columns.resolve,
        where_before=spec.where_expression,
        label_inputs=() if label.is_column else tuple(columns.resolve[name] for name in label.columns),
    )
    splitter = spec.split
    if needed := list(splitter.fit_columns()):
        rows, _ = builder.prepare(block)
        splitter = splitter.fit(builder.split_input(rows, splitter).select(needed))
    return *builder.with_splitter(splitter)(block), columns


def check_sample(
    spec: Spec, rows: pa.Table, counts: RowCounts, columns: ResolvedColumns, joins: Sequence[JoinProposal]
) -> tuple[Finding, ...]:
    """What the product's checks find in the sampled rows."""
    group = getattr(spec.split, "group", None) or spec.evaluate.cluster
    options = SummaryOptions(
        features=tuple(columns.features),
        group=columns.resolve.get(group, group) if group else None,
        classify=spec.task != "regression",
        sample_rows=rows.num_rows,
        hash_share=1.0,
    )
    counts = replace(counts, joins={join.name: join.counts for join in joins})
    total, _, row_hashes = read_summary(summarize(rows, counts, options).to_pylist()[0])
    profile = Profile(
        types={name: columns.types[name] for name in columns.features},
        columns=total.columns,
        counts=total.counts,
        parts=total.parts,
        labels=total.labels,
        classes=tuple(sorted({*total.labels.get("train", {})})),
        sample=total.sampled(0),
        time_ranges=total.time_ranges,
        evaluation_samples={part: total.sampled(PARTS.index(part)) for part in PARTS[1:]},
        row_hashes=RowHashes.concat([row_hashes], 1.0),
        time_granularity={join.name: join.granularity for join in joins if join.granularity},
    )
    return check(profile, spec)
