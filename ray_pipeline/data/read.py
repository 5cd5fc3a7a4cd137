"""Step 1: features, labels and the range of data, as a lazy table; joined as of the label's time, nothing read yet but
footers and small tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.sources._base import Footers, Source, kind_at, source_of
from ray_pipeline.components.splitters._base import Splitter
from ray_pipeline.data.as_of_join import FeatureTable, as_of_table, lookup_table
from ray_pipeline.data.columns import Names
from ray_pipeline.data.join_keys import finest_unit
from ray_pipeline.data.partitioned_join import JoinPlan, PartedTable, partition
from ray_pipeline.data.rows import Join, RowMaker
from ray_pipeline.errors import DataError, PipelineError, Problem
from ray_pipeline.runtime.scan import rows_of_a_block, scan
from ray_pipeline.spec import Spec
from ray_pipeline.spec.expression import Expression
from ray_pipeline.spec.where import Where

if TYPE_CHECKING:
    import ray.data

PIECE_BYTES = 64 << 20
SPAN = (-9_223_286_400, 9_223_286_400)
"""What 64 bits of nanoseconds hold for certain, in seconds since 1970: whole days."""


@dataclass(frozen=True)
class Table:
    """The label rows with their features, lazily: what to scan, what to keep, what to make of each block."""

    source: Source
    scanned: tuple[str, ...]
    keep: Expression | None
    """Range and `where`, as far as the label table alone decides: pushed down to the scan."""
    maker: RowMaker
    features: Mapping[str, pa.DataType]
    """What the model may see, by canonical name."""
    extra: tuple[str, ...]
    """Columns that slices and bias need but the model must not see."""
    footers: Mapping[str, Footers]
    num_rows: int
    """Rows of the label table before any selection."""
    out_of_range: int
    time_granularity: Mapping[str, str]
    """Feature tables without `known_at` whose times all stand at the start of a `day` or an `hour`."""
    lookups: Mapping[str, Mapping[str, int]]
    """Of each feature table: rows, and rows that can never match or lost a tie."""
    plans: Mapping[str, JoinPlan]
    """How each feature table is joined, and why."""
    bytes_read: Mapping[str, int]
    """Of each table: bytes on disk of the columns that are read, before whole row groups are skipped by their
    statistics."""
    num_bytes: int
    """Of all label rows with their features, decompressed."""

    def blocks(self) -> "ray.data.Dataset":
        """The scan: blocks of the label table in file order, projected and filtered."""
        footers, rows = self.footers["labels"], rows_of_a_block(self.num_rows, self.num_bytes)
        keep = self.keep.to_arrow(footers.schema, self.maker.resolve) if self.keep else None
        return scan(self.source.pieces(footers, self.scanned, rows, keep), rows)

    @contextmanager
    def scanning(self) -> Iterator[None]:
        """Tells what of a file could not be read, with file, column and row group, where a scan of the rows fails.

        Raises:
            DataError: a file is gone, damaged, or no longer what its footer said.
        """
        try:
            yield
        except PipelineError:
            raise
        except Exception:
            if problem := self.source.unreadable(self.scanned):
                raise DataError(problem) from None
            raise

    def with_splitter(self, splitter: Splitter) -> "Table":
        """The same table whose rows know their part."""
        return replace(self, maker=self.maker.with_splitter(splitter))

    def own_encodings(self, spec: Spec) -> dict[str, dict[str, Any]]:
        """What `encode` says of a column, by its canonical name."""
        return {self.canonical(name): chosen.given for name, chosen in spec.encode.items()}

    def canonical(self, written: str) -> str:
        """The canonical name of a column as the user wrote it."""
        return self.maker.resolve.get(written, written)


def read(spec: Spec, where: Where, *, rows: str | None = None, labelled: bool = True) -> Table:
    """The table that `spec.features` and `spec.select` describe.

    Args:
        spec: the run's spec.
        where: says where data paths start.
        rows: a path to read instead of `features.labels.path` (new rows for a registered model).
        labelled: whether the rows carry a label; without one no row is ever dropped.

    Raises:
        DataError: a file or column is absent or of the wrong kind; every problem in one go.
    """
    paths = {name: where.resolve(table.path, spec.folder) for name, table in spec.features.all.items()} | (
        {"labels": rows} if rows else {}
    )
    kinds = {name: table.kind for name, table in spec.features.all.items()} | (
        {"labels": kind_at(rows)} if rows else {}
    )
    own = {name: table.parameters for name, table in spec.features.all.items()} | ({"labels": {}} if rows else {})
    sources = {name: source_of(kinds[name], name, paths[name], own[name]) for name in paths}
    footers = _every(sources, lambda name: sources[name].footers())
    names = Names(spec, footers, labelled)
    names.check()
    _even(names, spec, footers, labelled)
    labels, schema = spec.features.labels, footers["labels"].schema
    keep, later = _selection(spec, names, labelled)
    source, num_rows = sources["labels"], footers["labels"].num_rows
    if labelled:
        _no_nulls(
            source, names, [(column, role) for column, role in ((labels.key, "key"), (labels.time, "time")) if column]
        )
    _representable(
        sources,
        {"labels": names.scanned(spec, labelled), **{name: _read(spec, name, names) for name in spec.features.tables}},
        footers,
    )
    out_of_range = (
        num_rows - source.count(between.to_arrow(schema, names.resolve))
        if labelled and (between := _range(spec))
        else 0
    )
    brought = {
        "labels": list(names.scanned(spec, labelled)),
        **{name: _read(spec, name, names) for name in spec.features.tables},
    }
    plans = {name: JoinPlan.of(footers[name].bytes_of(brought[name])[1]) for name in spec.features.tables}
    tables = _every(plans, lambda name: _feature_table(spec, name, sources[name], plans[name], footers, names))
    maker = RowMaker(
        task=spec.task,
        label=spec.label_expression if labelled else None,
        key=labels.key,
        time=labels.time,
        weight=labels.weight if labelled else None,
        joins=tuple(
            Join(name, spec.features.tables[name].on, spec.features.tables[name].time is not None, _put(table))
            for name, table in tables.items()
        ),
        columns=tuple(dict.fromkeys([*names.features, *names.extra])),
        resolve=names.resolve,
        where=later,
        label_inputs=(
            tuple(names.resolve[name] for name in spec.label_expression.columns)
            if labelled and not spec.label_expression.is_column
            else ()
        ),
    )
    lookups = {
        name: {"rows": footers[name].num_rows, "duplicates": table.duplicates, "without_time": table.without_time}
        for name, table in tables.items()
    }
    return Table(
        source,
        names.scanned(spec, labelled),
        keep,
        maker,
        {name: names.types[name] for name in names.features},
        tuple(names.extra),
        footers,
        num_rows,
        out_of_range,
        {name: table.granularity for name, table in tables.items() if table.granularity},
        lookups,
        plans,
        {name: footers[name].bytes_of(columns)[0] for name, columns in brought.items()},
        round(
            num_rows
            * sum(footers[name].bytes_of(columns)[1] / footers[name].num_rows for name, columns in brought.items())
        ),
    )


def _every(items: Mapping[str, Any], work: Any) -> dict[str, Any]:
    """The work done for every name; all problems together if any fails."""
    done, problems = {}, list[Problem]()
    for name in items:
        try:
            done[name] = work(name)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return done


def _even(names: Names, spec: Spec, footers: Mapping[str, Footers], labelled: bool) -> None:
    """Raises `DataError` for every column to be read that some files lack, or hold in another type."""
    used = [("labels", column) for column in names.scanned(spec, labelled)]
    for name, table in spec.features.tables.items():
        used += [
            (name, column) for column in (*table.on, table.time, table.known_at, *names.columns_of(name)) if column
        ]
    if problems := [
        footers[table].uneven[column] for table, column in dict.fromkeys(used) if column in footers[table].uneven
    ]:
        raise DataError(problems)


def _range(spec: Spec) -> Expression | None:
    time, select = spec.features.labels.time, spec.select
    bounds = [
        f"`{time}` {op} '{moment}'" for op, moment in ((">=", select.from_), ("<", select.to)) if moment is not None
    ]
    return Expression.parse(" and ".join(bounds)) if bounds else None


def _selection(spec: Spec, names: Names, labelled: bool) -> tuple[Expression | None, Expression | None]:
    """The condition for the scan, and the one that must wait for the joins."""
    if not labelled:
        return None, None
    condition, between = spec.where_expression, _range(spec)
    ours = set(names.schemas["labels"].names)
    if condition is not None and not {names.resolve[name] for name in condition.columns} <= ours:
        return between, condition
    both = [expression.text for expression in (between, condition) if expression]
    return (Expression.parse(" and ".join(f"({text})" for text in both)) if both else None), None


def _no_nulls(source: Source, names: Names, roles: Iterable[tuple[str, str]]) -> None:
    for column, role in roles:
        nulls = source.count(pc.field(column).is_null(nan_is_null=True))
        if nulls:
            names.missing(
                f"features.labels.{role}",
                column,
                f"{column!r} is null in {nulls:,} rows",
                f"each label row needs its {role}; mend the rows, or leave `{role}` out",
                rows=nulls,
            )
    if names.problems:
        raise DataError(names.problems)


def _representable(
    sources: Mapping[str, Source], read: Mapping[str, Iterable[str]], footers: Mapping[str, Footers]
) -> None:
    """Raises `DataError` for whole numbers beyond 64 bits with a sign, and for times that nanoseconds cannot hold;
    footers tell most tables free of both."""
    problems = list[Problem]()
    for name, columns in read.items():
        for column in columns:
            kind, value = footers[name].schema.field(column).type, pc.field(column)
            if kind == pa.uint64():
                beyond, what, fix = (
                    value > pa.scalar(2**63 - 1, kind),
                    f"above {2**63 - 1:,}",
                    "write it as int64 or as text",
                )
            elif pa.types.is_timestamp(kind) and kind.unit != "ns":
                first, last = (pa.scalar(moment, pa.timestamp("s", kind.tz)) for moment in SPAN)
                beyond, what, fix = (
                    (value < first) | (value > last),
                    "outside 1677-09-22 to 2262-04-11",
                    "write what is no moment as null",
                )
            else:
                continue
            if rows := sources[name].count(beyond):
                problems.append(
                    Problem(
                        stage="read",
                        file=footers[name].path,
                        column=column,
                        rows=rows,
                        found=f"{name}: {column!r} is {what} in {rows:,} rows",
                        fix=fix,
                    )
                )
    if problems:
        raise DataError(problems)


def _feature_table(
    spec: Spec, name: str, source: Source, plan: JoinPlan, footers: Mapping[str, Footers], names: Names
) -> FeatureTable | PartedTable:
    table, columns, read = spec.features.tables[name], names.columns_of(name), _read(spec, name, names)
    make: Callable[[pa.Table], FeatureTable]
    if table.time is None:
        make = partial(lookup_table, name, on=table.on, columns=columns)
    else:
        schema, spine = footers[name].schema, footers["labels"].schema.field(str(spec.features.labels.time)).type
        unit = finest_unit(
            spine, schema.field(table.time).type, *([schema.field(table.known_at).type] if table.known_at else [])
        )
        max_age = None if table.max_age is None else round(table.max_age.total_seconds() * 1e6)
        make = partial(
            as_of_table,
            name,
            on=table.on,
            columns=columns,
            time=table.time,
            known_at=table.known_at,
            max_age_us=max_age,
            unit=unit,
        )
    if plan.how == "broadcast":
        return make(source.table(read))
    rows = max(1, footers[name].num_rows * PIECE_BYTES // max(footers[name].bytes_of(read)[1], 1))
    return partition(source.pieces(footers[name], read, rows), table.on, plan.parts, make)


def _read(spec: Spec, name: str, names: Names) -> list[str]:
    """The columns of a feature table that are read."""
    table = spec.features.tables[name]
    return list(
        dict.fromkeys(
            [*table.on, *(column for column in (table.time, table.known_at) if column), *names.columns_of(name)]
        )
    )


def _put(table: FeatureTable | PartedTable) -> Any:
    import ray

    return ray.put(table)
