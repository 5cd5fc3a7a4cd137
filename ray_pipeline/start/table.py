"""A table to start from: its format, its footers, a sample of its rows, and whole columns on demand."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from glob import has_magic
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from ray_pipeline.column_types import plain_schema, plain_table
from ray_pipeline.components.sources._base import Footers, Source, kind_at, source_of
from ray_pipeline.components.sources._files import ABSENT_FIX, files_at, filesystem, lake_at
from ray_pipeline.components.sources._parquet_footers import KIND_FIX
from ray_pipeline.data.input_table import in_plain_types, with_times
from ray_pipeline.errors import DataError, Problem, SpecError
from ray_pipeline.spec.field_types import column
from ray_pipeline.start.cells import Cells
from ray_pipeline.start.dialect import read_dialect
from ray_pipeline.start.totals import Totals, find_totals
from ray_pipeline.start.words import TIMES, words

SAMPLE_ROWS, PIECES = 20_000, 16
MAX_WHOLE_ROWS = 20_000_000
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FIRST_S, LAST_S = 631_152_000, 4_102_444_800
"""1990 and 2100, in seconds since 1970."""
FIXES = {
    ABSENT_FIX: "correct the path; a relative one starts at the working directory",
    KIND_FIX: "write it as CSV or Parquet",
}
"""What to do here about problems that have another remedy in a spec."""
DATABASES = {
    *("sqlite", "duckdb", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "db2", "redshift"),
    *("snowflake", "bigquery", "databricks", "trino", "presto", "clickhouse", "hive", "jdbc"),
}
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab")
ENDINGS = (*TEXT_ENDINGS, ".data", ".csv.gz", ".tsv.gz", ".txt.gz")


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The column whose whole numbers count steps, `each`, which has at most one row for each of them, and why."""

    column: str
    each: str
    why: str


@dataclass(frozen=True, kw_only=True)
class StartTable:
    """One table, opened. Its columns are those that a spec could name."""

    name: str
    path: str
    """As the spec writes it."""
    source: Source
    footers: Footers
    kind: str
    dialect: Cells = field(default_factory=Cells)
    totals: Totals | None = None
    """Rows that the table is taken without."""
    steps: Steps | None = None
    """The whole numbers that are its time."""

    @classmethod
    def open(cls, name: str, given: str, folder: Path) -> "StartTable":
        """The table at a path.

        Parameters
        ----------
        name
            Its name in the spec.
        given
            A file, folder, glob or URI; a relative one starts at the working directory.
        folder
            The folder of the spec, where the written path starts.

        Raises
        ------
        DataError
            There is no such table, or it cannot be read.
        SpecError
            It is a Feast repository, which has no rows of its own, or a database.
        """
        _refuse_database(name, given)
        path = given if "://" in given else os.path.abspath(given)  # noqa: PTH100 (a link stays a link)
        try:
            return cls._open(name, given, path, folder)
        except DataError as error:
            problems = (replace(one, fix=FIXES.get(one.fix or "", one.fix)) for one in error.problems)
            raise DataError(problems) from None

    @classmethod
    def _open(cls, name: str, given: str, path: str, folder: Path) -> "StartTable":
        kind = format_of(name, path)
        if kind == "feast":
            found, fix = f"{given} is a Feast repository, which has no label", "name it with --features"
            raise SpecError(Problem(key="--from", found=found, fix=fix))
        dialect = Cells()
        if kind == "csv":
            fs, files = files_at(name, path, (".csv",), "CSV")
            dialect = read_dialect(fs, files[0].path)
        source = source_of(kind, name, path, dialect.parameters)
        return cls(
            name=name,
            path=written_path(path, folder),
            source=source,
            footers=source.footers(),
            kind=kind,
            dialect=dialect,
        )

    def without_totals(self) -> "StartTable":
        """The table without its rows of totals, as far as a CSV file or a small table of another format has any."""
        if self.kind != "csv" and self.num_rows > SAMPLE_ROWS:
            return self
        rows = plain_table(self.source.table(self.footers.schema.names))
        totals = find_totals(rows, self.dialect.totals)
        return replace(self, totals=totals) if totals else self

    @property
    def num_rows(self) -> int:
        """All rows of the table but those of totals."""
        return self.footers.num_rows - (self.totals.rows if self.totals else 0)

    @property
    def is_whole(self) -> bool:
        """Whether `column` gives every row."""
        return self.num_rows <= MAX_WHOLE_ROWS

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self.schema.names)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with the types of their values."""
        return with_times(plain_schema(self.footers.schema), self.time_units)

    def type(self, name: str) -> pa.DataType:
        """The type of a column's values."""
        return self.schema.field(name).type

    @cached_property
    def time_units(self) -> dict[str, str]:
        """The unit of each column of whole numbers that is a time; `s` to `ns` if name and values say so."""
        units = {self.steps.column: "step"} if self.steps else {}
        for name in self._rows.column_names:
            values = self._rows[name]
            if not pa.types.is_integer(values.type) or not words(name) & TIMES:
                continue
            ends = pc.min_max(values).as_py()
            for unit, scale in UNITS.items():
                if ends["min"] is not None and FIRST_S * scale <= ends["min"] <= ends["max"] <= LAST_S * scale:
                    units[name] = unit
        return units

    @property
    def sample(self) -> pa.Table:
        """At most `SAMPLE_ROWS` rows, in the order of the table, spread over all of it."""
        return in_plain_types(self._rows, self.time_units)

    @cached_property
    def _rows(self) -> pa.Table:
        """The sample, as it is stored."""
        names = self.footers.schema.names
        if not self.footers.group_rows or self.num_rows <= SAMPLE_ROWS:
            rows = self.source.table(names)
        else:
            pieces = self.source.pieces(self.footers, names, 1)
            chosen = np.unique(np.linspace(0, len(pieces) - 1, PIECES).astype(int))
            share = -(-SAMPLE_ROWS // len(chosen))
            rows = pa.concat_tables([_thinned(pieces[place](), share) for place in chosen])
        rows = plain_table(rows)
        return _thinned(self.totals.without(rows) if self.totals else rows, SAMPLE_ROWS)

    def column(self, name: str) -> pa.ChunkedArray:
        """All values of a column; those of the sample if the table has more than `MAX_WHOLE_ROWS` rows."""
        if not self.is_whole:
            return self.sample[name]
        rows = plain_table(self.source.table([*{name: None, **(self.totals.values if self.totals else {})}]))
        return in_plain_types(self.totals.without(rows) if self.totals else rows, self.time_units)[name]

    def parameters(self) -> dict[str, Any]:
        """What the spec says of the table besides its path."""
        return ({} if self.kind == "parquet" else {"kind": self.kind}) | self.dialect.parameters


def format_of(name: str, path: str) -> str:
    """The word of the source for a path: `parquet`, `csv`, `delta`, `iceberg` or `feast`.

    Raises
    ------
    StorageError
        The URI or the credentials cannot be used.
    """
    if path.lower().endswith(ENDINGS):
        return "csv"
    if has_magic(path):
        return kind_at(path)
    fs, at = filesystem(name, path)
    if fs.get_file_info(at).type != pafs.FileType.Directory:
        return kind_at(path)
    children = fs.get_file_info(pafs.FileSelector(at))
    inside = {info.base_name for info in children}
    if "feature_store.yaml" in inside:
        return "feast"
    if lake := lake_at(name, path):
        return lake
    files = [info for info in fs.get_file_info(pafs.FileSelector(at, recursive=True)) if info.is_file]
    return "csv" if files and all(info.path.lower().endswith(".csv") for info in files) else "parquet"


def table_name(path: str, taken: Collection[str]) -> str:
    """A name for a feature table: the last part of its path without ending, as a spec allows it.

    >>> table_name("data/store-sales.csv", {"labels"})
    'store_sales'
    """
    last = re.sub(r"\W+", "_", re.sub(r"\.\w+(\.gz)?$", "", path.rstrip("/").rpartition("/")[2]), flags=re.ASCII).strip(
        "_"
    )
    name = last if re.match(r"[A-Za-z_]", last) else f"table_{last}"
    return next(one for one in chain([name], (f"{name}_{number}" for number in count(2))) if one not in taken)


def written_path(path: str, folder: Path) -> str:
    """The path as a spec in that folder writes it: relative where both have a common parent besides the root."""
    if "://" in path:
        return path
    relative = os.path.relpath(path, os.path.abspath(folder))  # noqa: PTH100
    return path if relative.count("..") > 3 else relative


def is_name(name: str) -> bool:
    """Whether a spec can name the column: not blank, and without control characters.

    >>> is_name("net price"), is_name("two\\nlines")
    (True, False)
    """
    try:
        return bool(column(name))
    except ValueError:
        return False


def counted(rows: int) -> str:
    """A number of rows in words.

    >>> counted(1), counted(2_000)
    ('1 row', '2,000 rows')
    """
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def require_rows(table: StartTable, least: int) -> None:
    """Refuses a table with too few rows to train on.

    Raises
    ------
    DataError
        With the number of rows.
    """
    if table.num_rows < least:
        found = f"{counted(table.num_rows)}; train, validation and test need {least} together"
        raise DataError(
            Problem(stage="read", file=table.footers.path, rows=table.num_rows, found=found, fix="bring more rows")
        )


def _refuse_database(name: str, given: str) -> None:
    """Refuses the URL of a database, without the login that it may have.

    Raises
    ------
    SpecError
        With the keys of a spec that read a query.
    """
    scheme = re.match(r"([a-z0-9]+)[+:]", given.lower())
    if "://" not in given or not scheme or scheme[1] not in DATABASES:
        return
    key = "--from" if name == "labels" else "--features"
    found = f"{scheme[1]}:// is a database, and `init` reads files"
    keys = "`kind: sql` with `url` and `query` and without `path`"
    fix = f"write the rows as Parquet and name that file; a spec reads a query where its table has {keys}"
    raise SpecError(Problem(key=key, found=found, fix=fix))


def _thinned(rows: pa.Table, most: int) -> pa.Table:
    """At most so many of the rows, drawn evenly, in their order."""
    if rows.num_rows <= most:
        return rows
    chosen = np.sort(np.random.default_rng(0).choice(rows.num_rows, most, replace=False))
    return rows.take(pa.array(chosen))
