"""Step 1: features, labels and the range of data as a lazy table, joined as of the label's time.

Only footers and small feature tables are read here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, ge, lt

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.data.as_of_join import JoinOptions, JoinTable, prepare
from ray_pipeline.data.column_checks import check_columns
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.columns_of_rows import require_columns_of_rows
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.data.join_keys import finest_unit
from ray_pipeline.data.open_tables import for_each, open_tables
from ray_pipeline.data.partitioned_join import JoinPlan, PartitionedTable, partition_table
from ray_pipeline.data.preconditions import MAX_INT64, require_even_files, require_representable
from ray_pipeline.data.rows import Join, RowBuilder
from ray_pipeline.data.table import Table
from ray_pipeline.duration import EPOCH, PER_SECOND, as_timedelta
from ray_pipeline.shared import share
from ray_pipeline.spec import Spec
from ray_pipeline.spec.expression import Expression
from ray_pipeline.spec.where import Where

PIECE_BYTES = 64 << 20
"""Decompressed bytes of a feature table that one task partitions."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The conditions of `select`, by the place where they are tested."""

    in_range: pc.Expression | None = None
    """Not outside `select.from` and `select.to`, on the label table as it is stored; a null time is not outside."""
    in_scan: pc.Expression | None = None
    """`in_range`, and what every kept row fulfils of `where`; a scan skips row groups by it."""
    before_joins: Expression | None = None
    """`where`, if the label table alone decides it."""
    after_joins: Expression | None = None
    """`where`, if it needs a joined column."""


def read(
    spec: Spec,
    where: Where,
    *,
    rows: str | None = None,
    labelled: bool = True,
    needed: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
) -> Table:
    """The table that `spec.features` and `spec.select` describe.

    Parameters
    ----------
    spec
        The run's spec.
    where
        The cluster, which says where data paths start.
    rows
        A path to read instead of `features.labels.path`, for instance new rows for a registered model.
    labelled
        Whether the rows have labels. Without labels no row is dropped, and the rows need no key, and no time where
        nothing is joined by it.
    needed
        The full names of the columns of a registered model, if the rows are for one. Rows that lack some are refused,
        and what the spec says of features, which its own run has checked, is not checked again.
    types
        The types of the columns that the model knows, by their full names. A column whose table has no types, such as
        that of a folder's name or of CSV, is read so.

    Raises
    ------
    DataError
        A file or column is absent or unfit; every problem of one kind is reported at once.
    """
    tables, columns = checked_columns(spec, where, rows=rows, labelled=labelled, needed=needed, types=types)
    spec, columns_read, labels = columns.spec, columns.to_read(), tables["labels"]
    selection = select_rows(spec, columns, labels)
    plans = {name: JoinPlan.of(tables[name].footers.bytes_of(columns_read[name])[1]) for name in spec.features.tables}
    joins = for_each(plans, lambda name: _load(spec, name, tables[name], columns, plans[name]))
    in_range = selection.in_range
    return Table(
        labels=labels,
        columns_read=columns_read,
        scan_filter=selection.in_scan,
        row_builder=_row_builder(spec, columns, joins, selection),
        features={name: columns.types[name] for name in columns.features},
        footers={name: table.footers for name, table in tables.items()},
        out_of_range=0 if in_range is None else labels.footers.num_rows - labels.source.count(in_range),
        time_granularity={name: table.granularity for name, table in joins.items() if table.granularity},
        lookups={
            name: {
                "rows": tables[name].footers.num_rows,
                "duplicates": table.duplicates,
                "without_time": table.without_time,
            }
            for name, table in joins.items()
        },
        plans=plans,
    )


def checked_columns(
    spec: Spec,
    where: Where,
    *,
    rows: str | None = None,
    labelled: bool = True,
    needed: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
) -> tuple[dict[str, InputTable], ResolvedColumns]:
    """The tables of the spec and its columns in them, found and checked without reading a row; as for `read`."""
    tables = open_tables(spec, where, rows, types)
    spec = spec if labelled else _without_absent_roles(spec, tables["labels"].schema)
    columns = ResolvedColumns(spec, {name: table.schema for name, table in tables.items()}, labelled)
    if needed is not None:
        require_columns_of_rows(columns, needed, rows or tables["labels"].footers.path)
    require_even_files(tables, columns)
    check_columns(columns, of_model=needed is not None)
    require_representable(tables, columns)
    return tables, columns


def _without_absent_roles(spec: Spec, schema: pa.Schema) -> Spec:
    """The spec for new rows: without a key that they do not have, and without a time that they do not have or need."""
    labels, absent = spec.features.labels, dict[str, None]()
    if labels.key not in schema.names:
        absent["key"] = None
    if labels.time not in schema.names and not any(table.time for table in spec.features.tables.values()):
        absent["time"] = None
    features = spec.features.model_copy(update={"labels": labels.model_copy(update=absent)})
    return spec.model_copy(update={"features": features}) if absent else spec


def select_rows(spec: Spec, columns: ResolvedColumns, labels: InputTable) -> Selection:
    """The conditions of `select`; none for rows without labels."""
    if not columns.labelled:
        return Selection()
    where, in_range = spec.where_expression, _in_range(spec, labels)
    own = where is not None and all(columns.origins[columns.resolve[name]].table == "labels" for name in where.columns)
    if where is None or not own:
        return Selection(in_range=in_range, in_scan=in_range, after_joins=where)
    parts = [one for one in (in_range, where.implied(labels.footers.schema, columns.resolve)) if one is not None]
    return Selection(in_range=in_range, in_scan=reduce(and_, parts) if parts else None, before_joins=where)


def _in_range(spec: Spec, labels: InputTable) -> pc.Expression | None:
    """Not outside the range, for the time as it is stored."""
    time, select = spec.features.labels.time, spec.select
    cuts = [(op, cut) for op, cut in ((ge, select.from_), (lt, select.to)) if cut is not None]
    if time is None or not cuts:
        return None
    type_ = labels.footers.schema.field(time).type
    bounds = [op(pc.field(time), _stored(cut, type_, labels.time_units.get(time))) for op, cut in cuts]
    return reduce(and_, bounds) | pc.field(time).is_null()


def _stored(cut: datetime | int, type_: pa.DataType, unit: str | None) -> pa.Scalar:
    """The first stored value that is not before the cut."""
    if isinstance(cut, int):
        return pa.scalar(cut, pa.int64())
    moment = (cut - EPOCH) // timedelta(microseconds=1)
    if pa.types.is_date(type_):
        return pa.scalar(-(-moment // 86_400_000_000), pa.int32()).cast(pa.date32())
    ticks = -(-moment * PER_SECOND[unit or type_.unit] // 1_000_000)
    ticks = max(-MAX_INT64, min(MAX_INT64, ticks))
    return pa.scalar(ticks, pa.int64()) if unit else pa.scalar(ticks, pa.int64()).cast(type_)


def _join_options(spec: Spec, name: str, columns: ResolvedColumns) -> JoinOptions:
    """How a feature table is joined, in the finest unit of all times that are compared."""
    table, schema = spec.features.tables[name], columns.schemas[name]
    unit = "us"
    if table.time is not None:
        label_time = columns.schemas["labels"].field(str(spec.features.labels.time)).type
        times = [time for time in (table.time, table.known_at) if time is not None]
        unit = finest_unit(label_time, *(schema.field(time).type for time in times))
    return JoinOptions(
        name=name,
        on=table.on,
        columns=columns.joined(name),
        time=table.time,
        known_at=table.known_at,
        max_age=None if table.max_age is None else as_timedelta(table.max_age),
        unit=unit,
    )


def _load(
    spec: Spec, name: str, table: InputTable, columns: ResolvedColumns, plan: JoinPlan
) -> JoinTable | PartitionedTable:
    """A feature table, read and prepared for its join."""
    options, read = _join_options(spec, name, columns), columns.to_read()[name]
    if plan.how == "broadcast":
        return prepare(table.rows(read), options)
    rows = max(1, table.footers.num_rows * PIECE_BYTES // max(table.footers.bytes_of(read)[1], 1))
    with table.locating_errors(read):
        return partition_table(table.pieces(read, rows), options, plan.parts)


def _row_builder(
    spec: Spec, columns: ResolvedColumns, tables: Mapping[str, JoinTable | PartitionedTable], selection: Selection
) -> RowBuilder:
    """What each block of the label table goes through; the feature tables are in the object store."""
    labels, label = spec.features.labels, spec.label_expression if columns.labelled else None
    return RowBuilder(
        task=spec.task,
        label=label,
        key=labels.key,
        time=labels.time,
        weight=labels.weight if columns.labelled else None,
        joins=tuple(
            Join(
                name=name,
                on=spec.features.tables[name].on,
                as_of=spec.features.tables[name].time is not None,
                table=share(table),
            )
            for name, table in tables.items()
        ),
        columns=tuple(dict.fromkeys([*columns.features, *columns.slice_columns])),
        resolve=columns.resolve,
        where_before=selection.before_joins,
        where=selection.after_joins,
        label_inputs=(tuple(columns.resolve[name] for name in label.columns) if label and not label.is_column else ()),
    )
