"""The tables of a spec as they are stored: where each one is, its footers, and the unit of its times."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import pyarrow as pa

from ray_pipeline.column_types import type_named
from ray_pipeline.components.choice import find
from ray_pipeline.components.sources._base import Source, kind_at, source_of
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

T = TypeVar("T")


def open_source(spec: Spec, where: Where, name: str, rows: str | None = None) -> Source:
    """The source of a table; `rows` is read in place of the label table, as its kind where it claims the ending."""
    table = spec.features.all[name]
    if name == "labels" and rows:
        is_own = rows.lower().endswith(find("sources", table.kind).endings)
        kind = table.kind if is_own else kind_at(rows)
        found = source_of(kind, name, rows)
        # What says which version of the table was trained on says nothing of new rows.
        kept = {key: value for key, value in table.parameters.items() if key not in found.one_of}
        return source_of(kind, name, rows, kept) if kind == table.kind else found
    return source_of(table.kind, name, where.resolve(table.path, spec.folder), table.parameters)


def open_tables(
    spec: Spec, where: Where, rows: str | None = None, types: Mapping[str, str] | None = None
) -> dict[str, InputTable]:
    """Each table in plain types; the footers of all are read.

    Parameters
    ----------
    spec, where
        What the tables are, and where their paths start.
    rows
        Read in place of the label table.
    types
        The types of columns that a model knows, by their full names, as texts. What the rows are joined on has the type
        that it has in the feature table.

    Raises
    ------
    DataError
        A file cannot be read; the problems of all tables are reported at once.
    """

    opened = dict[str, InputTable]()

    def open_table(name: str) -> None:
        source = open_source(spec, where, name, rows)
        if types is not None:
            keys = _key_types(spec, opened) if name == "labels" else {}
            source = source.with_types({**keys, **types_in(spec, name, types)})
        opened[name] = InputTable.open(source, where.stall_after.total_seconds()).with_time_units(
            time_units(spec, name)
        )

    labels_last = sorted(spec.features.all, key=lambda name: name == "labels")
    for_each(labels_last, open_table, told=list(spec.features.all))
    return {name: opened[name] for name in spec.features.all}


def types_in(spec: Spec, table: str, types: Mapping[str, str]) -> dict[str, pa.DataType]:
    """The types of the columns of a table by their own names, of those of all tables by their full names."""
    known = dict[str, pa.DataType]()
    for full, text in types.items():
        of, _, name = full.partition(".")
        owner, own = (of, name) if of in spec.features.tables else ("labels", full)
        if owner == table and (type_ := type_named(text)) is not None:
            known[own] = type_
    return known


def _key_types(spec: Spec, opened: Mapping[str, InputTable]) -> dict[str, pa.DataType]:
    """The types of what rows are joined on, as the feature tables have them."""
    keys = [(key, table.schema) for name, table in opened.items() for key in spec.features.tables[name].on]
    return {key: schema.field(key).type for key, schema in keys if key in schema.names}


def time_units(spec: Spec, table: str) -> dict[str, str]:
    """The unit of each time column of a table, where the spec gives one."""
    one = spec.features.all[table]
    unit, times = one.time_unit, (one.time, getattr(one, "known_at", None))
    return {time: unit for time in times if time is not None} if unit else {}


def for_each(names: Iterable[str], work: Callable[[str], T], told: Sequence[str] = ()) -> dict[str, T]:
    """The result of the work for every name.

    Raises
    ------
    DataError
        Some of the work fails; it has the problems of all names, in the order of `told` where it is given.
    """
    done, problems = dict[str, T](), dict[str, Sequence[Problem]]()
    for name in names:
        try:
            done[name] = work(name)
        except DataError as error:
            problems[name] = error.problems
    if problems:
        raise DataError([one for name in told or problems for one in problems.get(name, ())])
    return done
