"""The tables of a spec as they are stored: where each one is, its footers, and the unit of its times."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from ray_pipeline.components.sources._base import Source, kind_at, source_of
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

T = TypeVar("T")


def open_source(spec: Spec, where: Where, name: str, rows: str | None = None) -> Source:
    """The source of a table; `rows` is read in place of the label table."""
    table = spec.features.all[name]
    if name == "labels" and rows:
        kind = kind_at(rows)
        found = source_of(kind, name, rows)
        # What says which version of the table was trained on says nothing of new rows.
        kept = {key: value for key, value in table.parameters.items() if key not in found.one_of}
        return source_of(kind, name, rows, kept) if kind == table.kind else found
    return source_of(table.kind, name, where.resolve(table.path, spec.folder), table.parameters)


def open_tables(spec: Spec, where: Where, rows: str | None = None) -> dict[str, InputTable]:
    """Each table in plain types; the footers of all are read.

    Raises
    ------
    DataError
        A file cannot be read; the problems of all tables are reported at once.
    """

    def open_table(name: str) -> InputTable:
        return InputTable.open(open_source(spec, where, name, rows)).with_time_units(time_units(spec, name))

    return for_each(spec.features.all, open_table)


def time_units(spec: Spec, table: str) -> dict[str, str]:
    """The unit of each time column of a table, where the spec gives one."""
    one = spec.features.all[table]
    unit, times = one.time_unit, (one.time, getattr(one, "known_at", None))
    return {time: unit for time in times if time is not None} if unit else {}


def for_each(names: Iterable[str], work: Callable[[str], T]) -> dict[str, T]:
    """The result of the work for every name.

    Raises
    ------
    DataError
        Some of the work fails; it has the problems of all names.
    """
    done, problems = dict[str, T](), list[Problem]()
    for name in names:
        try:
            done[name] = work(name)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return done
