"""CSV, for small tables: read whole, with types inferred from all rows where the spec does not say them."""

import codecs
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.fs as pafs
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from ray_pipeline.components.sources._base import Footers, Source
from ray_pipeline.components.sources._cells import losing_digits, named, numbers_in, require_csv
from ray_pipeline.components.sources._files import files_at
from ray_pipeline.components.sources._schemas import conform, unify_schemas
from ray_pipeline.errors import DataError, Problem, listed, nearest
from ray_pipeline.shared import Here, share, shared

if TYPE_CHECKING:
    import ray

MAX_BYTES = 1 << 30
MAX_BLOCK = (1 << 31) - 1
MAX_EXACT = 1 << 53
"""Up to here a double holds every whole number."""
HEAD_BYTES = 1 << 20


def _known_encoding(written: str) -> str:
    try:
        codecs.lookup(written)
    except LookupError:
        raise ValueError(f"there is no encoding {written!r}; write for example utf-8, utf-16 or latin-1") from None
    return written


class CSV(Source):
    """A table in one CSV file or several, each with the same header. A column without a name is called by its place."""

    endings: ClassVar[tuple[str, ...]] = (".csv", ".csv.gz")

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """The character between cells."""
    decimal: Annotated[str, Field(min_length=1, max_length=1)] = "."
    """The decimal point."""
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    """The encoding of the text."""
    skip_rows: Annotated[int, Field(ge=0)] = 0
    """Lines before the header."""
    null_values: Annotated[tuple[str, ...], BeforeValidator(tuple)] = ("",)
    """Cells that are null."""
    timestamps: Annotated[tuple[str, ...], BeforeValidator(tuple)] = ()
    """Forms of dates besides ISO 8601, as for `strptime`."""
    types: Annotated[Mapping[str, Literal["text", "number", "time"]], Field(default_factory=dict)]
    """Columns whose type is not left to their values. A `text` keeps leading zeros and words such as NA, a `number` may
    have a currency or percent sign and groups of digits, and a `time` may be written in digits alone."""

    _texts: frozenset[str] = PrivateAttr(default_factory=frozenset)
    """Columns that are text for a model, whatever their cells look like."""

    def with_types(self, types: Mapping[str, pa.DataType]) -> Self:
        """Return the same table; cells of digits are text where the column is one for a model."""
        known = self.model_copy()
        known._texts = frozenset(name for name, type_ in types.items() if type_ == pa.string())
        return known

    @cached_property
    def _read(self) -> tuple[pa.Table, list[pafs.FileInfo], dict[str, Problem]]:
        """The rows of all files, the files, and a problem for each column of numbers that no type but text holds."""
        fs, files = files_at(self.name, self.path, self.endings, "CSV")
        size = sum(f.size for f in files)
        if size > MAX_BYTES:
            raise DataError(self._too_large(size))
        read = [self._table(fs, one) for one in files]
        tables = [table for table, _ in read]
        long = {name: problem for _, problems in reversed(read) for name, problem in problems.items()}
        schemas = [table.schema for table in tables]
        unified = unify_schemas(self.name, [one.path for one in files], schemas)
        if unified.uneven or unified.partial:
            some = (f"{name!r} is in {count} of {len(files)} files" for name, count in unified.partial.items())
            found = f"the files have different headers: {listed(some)}"
            headers = self._problem(found, "write one header in all files")
            raise DataError(next((long.get(name, one) for name, one in unified.uneven.items()), headers))
        schema = unified.schema
        conformed = [conform(table, schema, schema.names, one.path) for table, one in zip(tables, files, strict=True)]
        return pa.concat_tables(conformed), files, long

    def _too_large(self, size: int) -> Problem:
        return self._problem(f"{size:,} bytes of CSV; at most {MAX_BYTES:,} are read", "write the table as Parquet")

    def _table(self, fs: pafs.FileSystem, info: pafs.FileInfo) -> tuple[pa.Table, dict[str, Problem]]:
        """The rows of one file, in the types that the spec says, and a problem for each column that stays text."""
        with fs.open_input_stream(info.path) as stream:  # decompresses *.gz
            content = stream.read_buffer(MAX_BYTES + 1 if info.path.lower().endswith(".gz") else info.size)
        if content.size > MAX_BYTES:
            raise DataError(self._too_large(content.size))
        require_csv(self.name, info.path, content[:8].to_pybytes())
        said = self._types_by_header(content, info.path)
        types = {name: pa.timestamp("us") if type_ == "time" else pa.string() for name, type_ in said.items()}
        types = {**self._texts_by_header(content), **types}
        table = self._parsed(content, info.path, column_types=types, null_values=self.null_values)
        texts = [name for name in table.column_names if said.get(name) == "text"]
        if texts and {*self.null_values} != {""}:
            plain = self._parsed(content, info.path, column_types=types, null_values=[""], include_columns=texts)
            for name in texts:
                table = table.set_column(table.column_names.index(name), name, plain[name])
        for name in table.column_names:
            if said.get(name) == "number":
                numbers = numbers_in(name, table[name], self.decimal, info.path)
                table = table.set_column(table.column_names.index(name), name, numbers)
        table, long = self._with_all_digits(table, content, info.path, said)
        return table.rename_columns(named(table.column_names)), long

    def _with_all_digits(
        self, table: pa.Table, content: pa.Buffer, path: str, said: Mapping[str, str]
    ) -> tuple[pa.Table, dict[str, Problem]]:
        """The rows, with the cells of a column whose whole numbers a double would change, and a problem for each."""
        names, problems = table.column_names, dict[str, Problem]()
        large = [
            name
            for name, values in zip(names, table.columns, strict=True)
            if name not in said and pa.types.is_floating(values.type) and pc.any(_is_large(values)).as_py()
        ]
        if not large or len(set(names)) < len(names):  # a name that comes twice is refused later
            return table, problems
        types = dict.fromkeys(large, pa.string())
        texts = self._parsed(content, path, column_types=types, null_values=self.null_values, include_columns=large)
        for name in large:
            cells, place = texts[name], names.index(name)
            if lost := losing_digits(pc.unique(cells.filter(_is_large(table[name]))).to_pylist()):
                rows = pc.sum(pc.is_in(cells, pa.array(lost))).as_py()
                shown = named(names)[place]
                problems[shown] = self._loses_digits(shown, path, rows, lost)
                table = table.set_column(place, name, cells)
        return table, problems

    def _loses_digits(self, name: str, path: str, rows: int, lost: Sequence[str]) -> Problem:
        found = f"{self.name}: {name!r} loses digits as a double in {rows:,} rows: {listed(lost)}"
        fix = (
            f"write `types: {{{name}: text}}` beside `kind: csv` for an id, or `number` for what may be rounded;"
            " or write the table as Parquet, with the id as text"
        )
        return Problem(stage="read", file=path, column=name, rows=rows, found=found, fix=fix)

    def _types_by_header(self, content: pa.Buffer, path: str) -> dict[str, str]:
        """The types that the spec says, by the names as the header has them."""
        if not self.types:
            return {}
        header = self._header(content)
        if header is None:
            return {}  # reading the rows fails for the same reason, and tells it
        names = dict(zip(named(header), header, strict=True))
        for name in self.types:
            if name not in names:
                near = nearest(name, names)
                found = f"{self.name}: `types` names {name!r}, and the header has no such column"
                fix = f"{near}{listed(map(repr, names))} are there"
                raise DataError(Problem(stage="read", file=path, column=name, found=found, fix=fix))
        return {names[name]: type_ for name, type_ in self.types.items()}

    def _texts_by_header(self, content: pa.Buffer) -> dict[str, pa.DataType]:
        """The type of the columns that are text for a model, by the names as the header has them."""
        header = self._header(content) if self._texts else None
        names = zip(header or (), named(header or ()), strict=True)
        return {written: pa.string() for written, name in names if name in self._texts}

    def _header(self, content: pa.Buffer) -> list[str] | None:
        """The names as the file has them; None if the file cannot be read so."""
        reading = pyarrow.csv.ReadOptions(encoding=self.encoding, skip_rows=self.skip_rows)
        parsing = pyarrow.csv.ParseOptions(delimiter=self.delimiter, invalid_row_handler=lambda _: "skip")
        try:
            names: list[str] = pyarrow.csv.open_csv(pa.BufferReader(content), reading, parsing).schema.names
        except (pa.ArrowInvalid, OSError, UnicodeError):
            return None
        return names

    def header(self) -> list[str]:
        """The names of the columns of the first file; none if it cannot be read so."""
        fs, files = files_at(self.name, self.path, self.endings, "CSV")
        with fs.open_input_stream(files[0].path) as stream:
            content = pa.py_buffer(stream.read(HEAD_BYTES))
        require_csv(self.name, files[0].path, content[:8].to_pybytes())
        return named(self._header(content) or [])

    def is_utf_8_after_all(self) -> bool:
        """Whether all files are UTF-8, with characters beyond ASCII, though the encoding is one of single bytes."""
        if "a".encode(self.encoding) != b"a" or codecs.lookup(self.encoding).name == "utf-8":
            return False
        fs, files = files_at(self.name, self.path, self.endings, "CSV")
        beyond = False
        for one in files:
            decoder = codecs.getincrementaldecoder("utf-8")()
            with fs.open_input_stream(one.path) as stream:
                try:
                    while chunk := stream.read(HEAD_BYTES):
                        beyond = beyond or not chunk.isascii()
                        decoder.decode(chunk)
                    decoder.decode(b"", final=True)
                except UnicodeDecodeError:
                    return False
        return beyond

    def _parsed(self, content: pa.Buffer, path: str, **options: Any) -> pa.Table:
        """The rows of one file, read as one block, so that all rows decide the types."""
        block = min(max(2 * content.size + 1, 1 << 20), MAX_BLOCK)  # latin-1 grows in UTF-8
        reading = {"block_size": block, "encoding": self.encoding, "skip_rows": self.skip_rows}
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(content),
                read_options=pyarrow.csv.ReadOptions(**reading),
                parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter),
                convert_options=pyarrow.csv.ConvertOptions(
                    strings_can_be_null=True,
                    decimal_point=self.decimal,
                    timestamp_parsers=[pyarrow.csv.ISO8601, *self.timestamps],
                    **options,
                ),
            )
            table.column_names  # noqa: B018 (Arrow reads a header in any encoding, and fails here)
        except (pa.ArrowInvalid, OSError, UnicodeError) as error:
            found, fix = str(error).splitlines()[0], "correct the file, or write the table as Parquet"
            if isinstance(error, UnicodeError):
                fix = "name the file's `encoding`, such as latin-1"
            elif rows := self._uneven_rows(content, reading):
                found = rows
            raise DataError(Problem(stage="read", file=path, found=f"{self.name}: {found}", fix=fix)) from None
        return table

    def _uneven_rows(self, content: pa.Buffer, reading: Mapping[str, Any]) -> str:
        """Which rows have more or fewer values than the header; empty if none has."""
        rows = list[pyarrow.csv.InvalidRow]()

        def note(row: pyarrow.csv.InvalidRow) -> str:
            rows.append(row)
            return "skip"

        parsing = pyarrow.csv.ParseOptions(delimiter=self.delimiter, invalid_row_handler=note)
        one_thread = pyarrow.csv.ReadOptions(**reading, use_threads=False)  # else rows have no number
        try:
            pyarrow.csv.read_csv(pa.BufferReader(content), read_options=one_thread, parse_options=parsing)
        except (pa.ArrowInvalid, UnicodeError):
            return ""
        if not rows:
            return ""
        first = rows[0]
        at = f"record {first.number}" if first.number else "the first one"
        others = f"{len(rows):,} row{'s' if len(rows) > 1 else ''} with another number of values"
        return f"the header has {first.expected_columns} columns, and {others}; {at} has {first.actual_columns}"

    def footers(self) -> Footers:
        """The inferred schema, rows and bytes.

        Raises
        ------
        DataError
            A file cannot be read, or there are no rows.
        """
        table, files, long = self._read
        if not table.num_rows:
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    rows=0,
                    found=f"{self.name}: 0 rows in {len(files)} files",
                    fix="name files that hold rows",
                )
            )
        fingerprint = hashlib.sha256()
        for chunk in (chunk for column in table.columns for chunk in column.chunks):
            for part in filter(None, chunk.buffers()):
                fingerprint.update(part)
        names, sizes = tuple(one.path for one in files), tuple(int(one.size) for one in files)
        fingerprint.update(
            repr([(PurePosixPath(name).name, size) for name, size in zip(names, sizes, strict=True)]).encode()
        )
        return Footers(
            path=self.path,
            files=names,
            schema=table.schema,
            num_rows=table.num_rows,
            num_bytes=sum(sizes),
            fingerprint=fingerprint.hexdigest(),
            uneven=long,
            column_bytes={name: (table[name].nbytes, table[name].nbytes) for name in table.column_names},
            file_bytes=sizes,
        )

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows, whole."""
        return self._read[0].select(list(columns))

    def count(self, keep: pc.Expression) -> int:
        """Rows for which `keep` is true."""
        return int(self._read[0].filter(keep).num_rows)

    def unreadable(self, columns: Sequence[str]) -> Problem | None:
        """None: a table that was read whole can be read."""
        return None

    def pieces(
        self, footers: Footers, columns: Sequence[str], rows: int, keep: pc.Expression | None = None
    ) -> list[Callable[[], pa.Table]]:
        """The rows in pieces of one length, from a copy that all workers share."""
        table = share(self.table(columns if keep is None else self._read[0].column_names))
        return [partial(_piece, table, start, rows, list(columns), keep) for start in range(0, footers.num_rows, rows)]


def _is_large(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which numbers a double may have rounded, were they whole: 2^53 may have been 2^53 + 1."""
    return pc.greater_equal(pc.abs(values), MAX_EXACT)


def _piece(
    table: "Here[pa.Table] | ray.ObjectRef[pa.Table]",
    start: int,
    rows: int,
    columns: list[str],
    keep: pc.Expression | None,
) -> pa.Table:
    """Some rows of a shared table."""
    piece = shared(table).slice(start, rows)
    return (piece if keep is None else piece.filter(keep)).select(columns)
