"""Parquet files, folders, hive partitions and globs, on a local disk or an object store."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial, reduce
from operator import and_
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from ray_pipeline.components.sources._base import Footers, Source
from ray_pipeline.components.sources._files import files_at, filesystem, root_of
from ray_pipeline.components.sources._hive import partition_type, partition_value, partitions
from ray_pipeline.components.sources._int96 import UNIT, int96_columns, refuse_finer
from ray_pipeline.components.sources._parquet_footers import chunk_statistics, column_bytes, read_footer, refuse_bombs
from ray_pipeline.components.sources._schemas import UnifiedSchema, conform, unify_schemas
from ray_pipeline.errors import DataError, Problem

if TYPE_CHECKING:
    import pyarrow.dataset as pads

SUFFIXES = (".parquet", ".pq", ".parq")


class Parquet(Source):
    """A table in Parquet: `path` is a file, a folder, a glob or a URI."""

    endings: ClassVar[tuple[str, ...]] = SUFFIXES

    def footers(self) -> Footers:
        """Files, schema, rows and bytes, from the footers of all files; they are read once.

        Raises
        ------
        DataError
            A file cannot be read or would fill the memory, or there are no rows.
        """
        return self._footers

    @cached_property
    def _footers(self) -> Footers:
        fs, files = self._files()
        with ThreadPoolExecutor(16) as pool:
            metadata = list(pool.map(lambda info: read_footer(self.name, fs, info), files))
        names, sizes = [f.path for f in files], tuple(int(f.size) for f in files)
        for file, one in zip(names, metadata, strict=True):
            refuse_bombs(self.name, file, one)
        num_rows = sum(m.num_rows for m in metadata)
        if num_rows == 0:
            raise DataError(
                Problem(
                    stage="read",
                    file=self.path,
                    rows=0,
                    found=f"{self.name}: 0 rows in {len(files)} files",
                    fix="name files that hold rows",
                )
            )
        # A file without rows has no say: pandas and Spark write it with types of their own.
        filled = [(file, one) for file, one in zip(names, metadata, strict=True) if one.num_rows]
        unified = self._unify([file for file, _ in filled], [_schema_of(one) for _, one in filled])
        identity = [
            [PurePosixPath(f.path).name, f.size, m.num_rows, chunk_statistics(self.name, f.path, m)]
            for f, m in zip(files, metadata, strict=True)
        ]
        groups = [[m.row_group(number) for number in range(m.num_row_groups)] for m in metadata]
        return Footers(
            path=self.path,
            files=tuple(names),
            schema=unified.schema,
            num_rows=num_rows,
            num_bytes=sum(sizes),
            fingerprint=hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest(),
            column_bytes=column_bytes(metadata),
            uneven=unified.uneven,
            unified=unified.unified,
            partial=unified.partial,
            file_bytes=sizes,
            file_rows=tuple(m.num_rows for m in metadata),
            group_rows=tuple(tuple(group.num_rows for group in of_file) for of_file in groups),
            largest_group=max((group.total_byte_size for of_file in groups for group in of_file), default=0),
        )

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole, in file order."""
        footers = self.footers()
        read = self._reader(footers, columns, None)
        with ThreadPoolExecutor(16) as pool:
            return pa.concat_tables(pool.map(lambda file: read({file: None}), _filled(footers)))

    def count(self, keep: pc.Expression) -> int:
        """Rows for which `keep` is true, from statistics and the columns it names alone."""
        (fs, _), footers, root = filesystem(self.name, self.path), self.footers(), root_of(self.path)

        def count_in(file: str) -> int:
            fragment = _fragment(fs, file, footers.schema, self._partitions(file, root))
            own = fragment.physical_schema
            stored = pa.schema([own.field(one.name) if one.name in own.names else one for one in footers.schema])
            return int(fragment.scanner(schema=stored, filter=keep).count_rows())

        with ThreadPoolExecutor(16) as pool:
            return sum(pool.map(count_in, _filled(footers)))

    def unreadable(self, columns: Sequence[str]) -> Problem | None:
        """What a scan could not read: the first row group of a column that cannot be decoded; None if all can."""
        fs, files = self._files()
        for info in files:
            with fs.open_input_file(info.path) as opened:
                file = pq.ParquetFile(opened, page_checksum_verification=True)
                names = [name for name in columns if name in file.schema_arrow.names]
                for group, name in ((group, name) for group in range(file.num_row_groups) for name in names):
                    try:
                        file.read_row_group(group, columns=[name]).validate(full=True)
                    except (pa.ArrowException, OSError) as error:
                        reason = str(error).splitlines()[0][:200]
                        return Problem(
                            stage="read",
                            file=info.path,
                            column=name,
                            rows=file.metadata.row_group(group).num_rows,
                            found=f"{self.name}: row group {group} of column {name!r} cannot be read: {reason}",
                            fix="write the file again",
                        )
        return None

    def pieces(
        self, footers: Footers, columns: Sequence[str], rows: int, keep: pc.Expression | None = None
    ) -> list[Callable[[], pa.Table]]:
        """The rows in pieces of whole row groups, in file order."""
        read = self._reader(footers, columns, keep)
        pieces, groups, size = list[Callable[[], pa.Table]](), dict[str, list[int]](), 0
        for file, lengths in zip(footers.files, footers.group_rows, strict=True):
            for number, length in enumerate(lengths if sum(lengths) else ()):
                if groups and size + length > rows:
                    pieces.append(partial(read, groups))
                    groups, size = {}, 0
                groups.setdefault(file, []).append(number)
                size += length
        return [*pieces, partial(read, groups)]

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        return files_at(self.name, self.path, SUFFIXES, "Parquet")

    def _reader(self, footers: Footers, columns: Sequence[str], keep: pc.Expression | None) -> "partial[pa.Table]":
        """Reads row groups of files, in the schema of the footers."""
        fs, _ = filesystem(self.name, self.path)
        root = root_of(self.path)
        values = {file: values for file in footers.files if (values := self._partitions(file, root))}
        return partial(_read_groups, fs, footers.schema, values, list(columns), keep)

    def _unify(self, files: Sequence[str], schemas: Sequence[pa.Schema]) -> UnifiedSchema:
        """One schema for all files, with the columns that the names of folders define."""
        unified = unify_schemas(self.name, files, schemas)
        root = root_of(self.path)
        values = [self._partitions(file, root) for file in files]
        schema, uneven = unified.schema, dict(unified.uneven)
        partial, notes = dict(unified.partial), dict(unified.unified)
        for name in dict.fromkeys(name for one in values for name in one):
            if name in schema.names:
                uneven[name] = Problem(
                    stage="read",
                    file=files[0],
                    column=name,
                    found=f"{self.name}: {name!r} is a column of the files and the name of their folders",
                    fix="rename one of them, or leave the column out of `columns`",
                )
            else:
                schema = schema.append(pa.field(name, self._partition_type(name, [one.get(name) for one in values])))
                if without := sum(name not in one for one in values):
                    partial[name] = len(files) - without
                    where = f"{without:,} of {len(files):,} files are in no folder {name}=..."
                    notes[name] = f"{self.name}: {where}; the column is null there"
        return replace(unified, schema=schema, uneven=uneven, partial=partial, unified=notes)

    def _partitions(self, file: str, root: str) -> Mapping[str, object]:
        """The columns that the names of a file's folders define."""
        return partitions(file, root)

    def _partition_type(self, name: str, values: Iterable[object]) -> pa.DataType:
        """The type of a column that the names of folders define."""
        return partition_type([value if value is None else str(value) for value in values])


def _filled(footers: Footers) -> list[str]:
    """The files that have rows."""
    return [file for file, rows in zip(footers.files, footers.file_rows, strict=True) if rows]


def _read_groups(
    fs: pafs.FileSystem,
    schema: pa.Schema,
    partitions: Mapping[str, Mapping[str, object]],
    columns: list[str],
    keep: pc.Expression | None,
    groups: Mapping[str, list[int] | None],
) -> pa.Table:
    """These row groups of these files (None: all of a file) in the given schema."""
    tables = []
    for file, numbers in groups.items():
        fragment = _fragment(fs, file, schema, partitions.get(file, {}), numbers)
        if timed := [name for name in _timed(columns, fragment) if name in int96_columns(fragment.metadata)]:
            in_ns = _format("ns").make_fragment(file, fs, row_groups=numbers)
            refuse_finer(file, fragment.to_table(columns=timed), in_ns.to_table(columns=timed))
        tables.append(_read_fragment(fragment, schema, columns, keep))
    return pa.concat_tables(tables)


def _fragment(
    fs: pafs.FileSystem,
    file: str,
    schema: pa.Schema,
    partitions: Mapping[str, object],
    groups: list[int] | None = None,
) -> "pads.ParquetFileFragment":
    """Row groups of a file, with the values that the names of its folders give to their columns."""
    values = {name: partition_value(value, schema.field(name).type) for name, value in partitions.items()}
    equal = [pc.field(name) == value if value.is_valid else pc.field(name).is_null() for name, value in values.items()]
    known = reduce(and_, equal) if equal else None
    return _format(UNIT).make_fragment(file, fs, partition_expression=known, row_groups=groups)


def _format(int96_unit: str) -> "pads.ParquetFileFormat":
    """How files are read: pages are checked where the writer stored checksums."""
    import pyarrow.dataset as pads  # takes 0.2 s, as it imports pandas

    checked = pads.ParquetFragmentScanOptions(page_checksum_verification=True)
    return pads.ParquetFileFormat(coerce_int96_timestamp_unit=int96_unit, default_fragment_scan_options=checked)


def _timed(columns: Sequence[str], fragment: "pads.ParquetFileFragment") -> list[str]:
    """The columns that may hold INT96, by the type in which they are read."""
    own = fragment.physical_schema
    return [name for name in columns if name in own.names and own.field(name).type == pa.timestamp(UNIT)]


def _read_fragment(
    fragment: "pads.ParquetFileFragment", schema: pa.Schema, columns: list[str], keep: pc.Expression | None
) -> pa.Table:
    """The rows of a fragment. Arrow filters them, unless the file has other types than the schema."""
    own = fragment.physical_schema
    read = columns if keep is None else schema.names
    differing = {name for name in read if name in own.names and own.field(name).type != schema.field(name).type}
    if not differing:
        return fragment.to_table(schema=schema, columns=columns, filter=keep)
    as_stored = pa.schema([own.field(one.name) if one.name in differing else one for one in schema])
    table = conform(fragment.to_table(schema=as_stored, columns=read), schema, read, fragment.path)
    return (table if keep is None else table.filter(keep)).select(columns)


def _schema_of(metadata: pq.FileMetaData) -> pa.Schema:
    """The file's columns, in the types in which they are read."""
    schema = metadata.schema.to_arrow_schema()
    for name in int96_columns(metadata):
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.timestamp(UNIT)))
    return schema
