"""Step 1: features, labels and the range of data as a lazy table, joined as of the label's time.

Only footers and small feature tables are read here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ray_pipeline.components.sources._base import Footers, Source, kind_at, source_of
from ray_pipeline.data.as_of_join import JoinOptions, JoinTable, prepare
from ray_pipeline.data.column_checks import check_columns
from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.join_keys import finest_unit
from ray_pipeline.data.partitioned_join import JoinPlan, PartitionedTable, partition_table
from ray_pipeline.data.preconditions import require_even_files, require_keys_and_times, require_representable
from ray_pipeline.data.rows import Join, RowBuilder
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.spec import Spec
from ray_pipeline.spec.expression import Expression
from ray_pipeline.spec.where import Where

if TYPE_CHECKING:
    pass

PIECE_BYTES = 64 << 20
"""Decompressed bytes of a feature table that one task partitions."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The conditions of `select`, by the place where they are tested."""

    in_range: Expression | None = None
    """`select.from` and `select.to` alone."""
    in_scan: Expression | None = None
    """All that the label table alone decides."""
    after_joins: Expression | None = None
    """`where`, if it needs a joined column."""


def read(spec: Spec, where: Where, *, rows: str | None = None, labelled: bool = True) -> Table:
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
        Whether the rows have labels. Without labels no row is dropped.

    Raises
    ------
    DataError
        A file or column is absent or unfit; every problem of one kind is reported at once.
    """
    sources = open_sources(spec, where, rows)
    footers = _for_each(sources, lambda name: sources[name].footers())
    columns = ResolvedColumns(spec, footers, labelled)
    check_columns(columns)
    columns_read = columns.to_read()
    require_even_files(footers, columns_read)
    if labelled:
        require_keys_and_times(sources["labels"], spec)
    require_representable(sources, footers, columns_read)
    selection = select_rows(spec, columns)
    plans = {name: JoinPlan.of(footers[name].bytes_of(columns_read[name])[1]) for name in spec.features.tables}
    tables = _for_each(plans, lambda name: _load(spec, name, sources[name], footers[name], columns, plans[name]))
    return Table(
        source=sources["labels"],
        columns_read=columns_read,
        scan_filter=selection.in_scan,
        row_builder=_row_builder(spec, columns, tables, selection),
        features={name: columns.types[name] for name in columns.features},
        footers=footers,
        out_of_range=_count_out_of_range(sources["labels"], footers["labels"], selection, columns),
        time_granularity={name: table.granularity for name, table in tables.items() if table.granularity},
        lookups={
            name: {"rows": footers[name].num_rows, "duplicates": table.duplicates, "without_time": table.without_time}
            for name, table in tables.items()
        },
        plans=plans,
    )


def open_sources(spec: Spec, where: Where, rows: str | None = None) -> dict[str, Source]:
    """The source of each table; `rows` is read in place of the label table."""
    sources: dict[str, Source] = {}
    for name, table in spec.features.all.items():
        path, kind, parameters = where.resolve(table.path, spec.folder), table.kind, table.parameters
        if name == "labels" and rows:
            path, kind = rows, kind_at(rows)
            parameters = parameters if kind == table.kind else {}
        sources[name] = source_of(kind, name, path, parameters)
    return sources


def select_rows(spec: Spec, columns: ResolvedColumns) -> Selection:
    """The conditions of `select`; none for rows without labels."""
    if not columns.labelled:
        return Selection()
    time, select, where = spec.features.labels.time, spec.select, spec.where_expression
    bounds = [f"`{time}` {op} '{cut}'" for op, cut in ((">=", select.from_), ("<", select.to)) if cut is not None]
    in_range = Expression.parse(" and ".join(bounds)) if bounds else None
    own = columns.schemas["labels"].names
    if where is not None and not all(columns.resolve[name] in own for name in where.columns):
        return Selection(in_range=in_range, in_scan=in_range, after_joins=where)
    both = " and ".join(f"({one.text})" for one in (in_range, where) if one)
    return Selection(in_range=in_range, in_scan=Expression.parse(both) if both else None)


def _for_each(names: Iterable[str], work: Callable[[str], T]) -> dict[str, T]:
    """The result of the work for every name; all problems together if some of it fails."""
    done, problems = dict[str, T](), list[Problem]()
    for name in names:
        try:
            done[name] = work(name)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return done


def _count_out_of_range(source: Source, footers: Footers, selection: Selection, columns: ResolvedColumns) -> int:
    """Rows of the label table outside the range."""
    if selection.in_range is None:
        return 0
    return footers.num_rows - source.count(selection.in_range.to_arrow(footers.schema, columns.resolve))


def _join_options(spec: Spec, name: str, columns: ResolvedColumns) -> JoinOptions:
    """How a feature table is joined, in the finest unit of all times that are compared."""
    table, schema = spec.features.tables[name], columns.schemas[name]
    unit = "us"
    if table.time is not None:
        label_time = columns.schemas["labels"].field(str(spec.features.labels.time)).type
        times = [time for time in (table.time, table.known_at) if time]
        unit = finest_unit(label_time, *(schema.field(time).type for time in times))
    return JoinOptions(
        name=name,
        on=table.on,
        columns=columns.joined(name),
        time=table.time,
        known_at=table.known_at,
        max_age=table.max_age,
        unit=unit,
    )


def _load(
    spec: Spec, name: str, source: Source, footers: Footers, columns: ResolvedColumns, plan: JoinPlan
) -> JoinTable | PartitionedTable:
    """A feature table, read and prepared for its join."""
    options, read = _join_options(spec, name, columns), columns.to_read()[name]
    if plan.how == "broadcast":
        return prepare(source.table(read), options)
    rows = max(1, footers.num_rows * PIECE_BYTES // max(footers.bytes_of(read)[1], 1))
    return partition_table(source.pieces(footers, read, rows), options, plan.parts)


def _row_builder(
    spec: Spec, columns: ResolvedColumns, tables: Mapping[str, JoinTable | PartitionedTable], selection: Selection
) -> RowBuilder:
    """What each block of the label table goes through; the feature tables are in the object store."""
    import ray

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
                table=ray.put(table),
            )
            for name, table in tables.items()
        ),
        columns=tuple(dict.fromkeys([*columns.features, *columns.slice_columns])),
        resolve=columns.resolve,
        where=selection.after_joins,
        label_inputs=(tuple(columns.resolve[name] for name in label.columns) if label and not label.is_column else ()),
    )
