"""One table of the spec as later code sees it: a source, read in plain types, with integer times as timestamps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.column_types import plain_schema, plain_table
from ray_pipeline.components.sources._base import Footers, Source
from ray_pipeline.duration import STEP_UNIT
from ray_pipeline.errors import DataError, PipelineError, Problem, StorageError
from ray_pipeline.runtime.background import items_in_time

TimeUnits = Mapping[str, str]
"""The unit of each time column that holds integers: `s`, `ms`, `us` or `ns` since 1970, or `step`."""


@dataclass(frozen=True, kw_only=True)
class InputTable:
    """The rows of one table, in plain types."""

    source: Source
    footers: Footers
    time_units: TimeUnits = field(default_factory=dict)

    @classmethod
    def open(cls, source: Source, within: float | None = None) -> Self:
        """The table of a source; its footers, or all its rows where it has none, are read here.

        Parameters
        ----------
        source
            Where the rows are.
        within
            After so many seconds the reading is given up; None for never.

        Raises
        ------
        StorageError
            The storage gives no answer in that time.
        """
        try:
            (footers,) = items_in_time((one.footers() for one in (source,)), within)
        except TimeoutError as error:
            if error.errno is not None:  # the storage itself has said so
                raise
            found = f"{source.name}: its storage has given no answer for {within:g} s (`stall_after`)"
            fix = "see whether the storage can be read, or give `stall_after` in the cluster file more"
            raise StorageError(Problem(stage="read", file=source.path, found=found, fix=fix)) from None
        return cls(source=source, footers=footers)

    def with_time_units(self, units: TimeUnits) -> Self:
        """The same table, whose integer times are read in these units.

        Raises
        ------
        DataError
            A column with a unit holds no integers.
        """
        schema = plain_schema(self.footers.schema)
        for column in (column for column in units if column in schema.names):
            if not pa.types.is_integer(schema.field(column).type):
                raise DataError(
                    Problem(
                        stage="read",
                        file=self.footers.path,
                        column=column,
                        found=f"{column!r} is {schema.field(column).type}, and `time_unit` is for integers",
                        fix="leave `time_unit` out, or write the times as integers",
                    )
                )
        return replace(self, time_units=units)

    @property
    def schema(self) -> pa.Schema:
        """Every column in its plain type."""
        return with_times(plain_schema(self.footers.schema), self.time_units)

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole.

        Raises
        ------
        DataError
            A file is damaged; the error names the column and the row group.
        """
        with self.locating_errors(columns):
            return in_plain_types(self.source.table(columns), self.time_units)

    @contextmanager
    def locating_errors(self, columns: Sequence[str]) -> Iterator[None]:
        """If reading these columns fails in this block, the error names the file, column and row group.

        Raises
        ------
        DataError
            A file is gone or damaged, or differs from its footer.
        """
        try:
            yield
        except PipelineError:
            raise
        except Exception:
            if problem := self.source.unreadable(columns):
                raise DataError(problem) from None
            raise

    def pieces(
        self, columns: Sequence[str], rows: int, keep: pc.Expression | None = None
    ) -> list[Callable[[], pa.Table]]:
        """The rows for which `keep` is true, as calls that any worker can make; each reads about `rows` rows.

        `keep` names columns as they are stored.
        """
        pieces = self.source.pieces(self.footers, columns, rows, keep)
        return [partial(_read_plain, piece, dict(self.time_units)) for piece in pieces]


def _read_plain(piece: Callable[[], pa.Table], units: TimeUnits) -> pa.Table:
    return in_plain_types(piece(), units)


def in_plain_types(table: pa.Table, units: TimeUnits) -> pa.Table:
    """The table in plain types, and integer times as timestamps."""
    table = plain_table(table)
    for name in units:
        if name in table.column_names and pa.types.is_integer(table[name].type):
            place = table.column_names.index(name)
            table = table.set_column(place, name, timestamps(table[name], units[name], name))
    return table


def timestamps(values: pa.ChunkedArray, unit: str, column: str) -> pa.ChunkedArray:
    """Whole numbers as timestamps.

    Parameters
    ----------
    values
        Integers; shape (rows,).
    unit
        `s`, `ms`, `us`, `ns`, or `step`, which counts as a second.
    column
        The column's name, for the message.

    Raises
    ------
    DataError
        A number is beyond what 64 bits of the unit, or of microseconds, hold.
    """
    type_ = pa.timestamp(STEP_UNIT if unit == "step" else unit)
    try:
        times = values.cast(pa.int64()).cast(type_)
        return times if type_.unit == "ns" else times.cast(pa.timestamp("us"))
    except pa.ArrowInvalid as error:
        raise DataError(
            Problem(
                stage="read",
                column=column,
                found=f"{column!r} holds numbers that are no time in {unit}: {str(error).splitlines()[0]}",
                fix="correct `time_unit` or the values",
            )
        ) from None


def with_times(schema: pa.Schema, units: TimeUnits) -> pa.Schema:
    """The schema with integer times as timestamps."""
    for name, unit in units.items():
        place = schema.get_field_index(name)
        if place >= 0 and pa.types.is_integer(schema.field(place).type):
            schema = schema.set(place, pa.field(name, pa.timestamp("ns" if unit == "ns" else "us")))
    return schema
