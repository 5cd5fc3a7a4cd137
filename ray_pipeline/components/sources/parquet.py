"""Parquet files, folders, hive partitions and globs, on a local disk or an object store."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from pydantic import PrivateAttr

from ray_pipeline.components.sources._base import Footers, Source
from ray_pipeline.components.sources._file_columns import FileColumns
from ray_pipeline.components.sources._file_rows import FileRows, Kept, read_groups
from ray_pipeline.components.sources._files import files_at, filesystem, root_of
from ray_pipeline.components.sources._hive import partition_type, partitions
from ray_pipeline.components.sources._int96 import UNIT, int96_columns
from ray_pipeline.components.sources._parquet_footers import (
    MAGIC,
    chunk_statistics,
    column_bytes,
    read_footer,
    refuse_bombs,
)
from ray_pipeline.components.sources._schemas import UnifiedSchema, unify_schemas
from ray_pipeline.errors import DataError, Problem

SUFFIXES = (".parquet", ".pq", ".parq")


class Parquet(Source):
    """A table in Parquet: `path` is a file, a folder, a glob or a URI."""

    endings: ClassVar[tuple[str, ...]] = SUFFIXES

    _types: Mapping[str, pa.DataType] = PrivateAttr(default_factory=dict)
    """The types of columns that names of folders give, where a model knows them."""

    def with_types(self, types: Mapping[str, pa.DataType]) -> Self:
        """Return the same table; names of folders above its path are columns too, where they are among these."""
        known = self.model_copy()
        known._types = types
        return known

    def footers(self) -> Footers:
        """Files, schema, rows and bytes, from the footers of all files; they are read once.

        Raises
        ------
        DataError
            A file cannot be read or would fill the memory, or there are no rows.
        """
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[Footers, Mapping[str, FileColumns]]:
        """The footers, and where the columns of the table are in each file."""
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
        schemas = {file: _schema_of(one) for file, one in filled}
        columns = {file: self._columns_of(file, schema) for file, schema in schemas.items()}
        unified = self._unify(list(schemas), list(schemas.values()), list(columns.values()))
        columns = {file: one.without(unified.uneven) for file, one in columns.items()}
        of_files = [columns.get(file, FileColumns()) for file in names]
        identity = [
            [PurePosixPath(f.path).name, f.size, m.num_rows, chunk_statistics(self.name, f.path, m)]
            for f, m in zip(files, metadata, strict=True)
        ]
        identity += [[one.constants, one.stored] for one in of_files if one != FileColumns()]
        groups = [[m.row_group(number) for number in range(m.num_row_groups)] for m in metadata]
        footers = Footers(
            path=self.path,
            files=tuple(names),
            schema=unified.schema,
            num_rows=num_rows,
            num_bytes=sum(sizes),
            fingerprint=hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest(),
            column_bytes=column_bytes(unified.schema.names, zip(metadata, of_files, strict=True)),
            uneven=unified.uneven,
            unified=unified.unified,
            partial=unified.partial,
            file_bytes=sizes,
            file_rows=tuple(m.num_rows for m in metadata),
            group_rows=tuple(tuple(group.num_rows for group in of_file) for of_file in groups),
            largest_group=max((group.total_byte_size for of_file in groups for group in of_file), default=0),
        )
        return footers, columns

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole, in file order."""
        footers = self.footers()
        read, of_files = self._reader(footers, columns, None)
        with ThreadPoolExecutor(16) as pool:
            return pa.concat_tables(pool.map(lambda file: read({file: (of_files[file], None)}), _filled(footers)))

    def count(self, keep: pc.Expression) -> int:
        """Rows for which `keep` is true, from statistics and the columns it names alone."""
        (fs, _), (footers, columns) = filesystem(self.name, self.path), self._read
        kept = Kept.of(keep, footers.schema)

        def count_in(file: str) -> int:
            return FileRows(fs, file, footers.schema, columns[file]).count(kept)

        with ThreadPoolExecutor(16) as pool:
            return sum(pool.map(count_in, _filled(footers)))

    def unreadable(self, columns: Sequence[str]) -> Problem | None:
        """What a scan could not read: the first row group of a column that cannot be decoded; None if all can."""
        (fs, files), of_files = self._files(), self._read[1]
        for info in files:
            with fs.open_input_file(info.path) as opened:
                file = pq.ParquetFile(opened, page_checksum_verification=True)
                own, of_file = set(file.schema_arrow.names), of_files.get(info.path, FileColumns())
                stored = {name: at for name in columns if (at := of_file.name_in(own, name)) is not None}
                for group, name in ((group, name) for group in range(file.num_row_groups) for name in stored):
                    try:
                        file.read_row_group(group, columns=[stored[name]]).validate(full=True)
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
        read, of_files = self._reader(footers, columns, keep)
        pieces, groups, size = list[Callable[[], pa.Table]](), dict[str, tuple[FileColumns, list[int]]](), 0
        for file, lengths in zip(footers.files, footers.group_rows, strict=True):
            for number, length in enumerate(lengths if sum(lengths) else ()):
                if groups and size + length > rows:
                    pieces.append(partial(read, groups))
                    groups, size = {}, 0
                groups.setdefault(file, (of_files[file], []))[1].append(number)
                size += length
        return [*pieces, partial(read, groups)]

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        return files_at(self.name, self.path, SUFFIXES, "Parquet", MAGIC)

    def _reader(
        self, footers: Footers, columns: Sequence[str], keep: pc.Expression | None
    ) -> tuple["partial[pa.Table]", dict[str, FileColumns]]:
        """What reads row groups of files in the schema of the footers, and where these columns are in each file."""
        fs, _ = filesystem(self.name, self.path)
        kept = None if keep is None else Kept.of(keep, footers.schema)
        names = dict.fromkeys([*columns, *(kept.names if kept else ())])
        of_files = {file: of_file.only(names) for file, of_file in self._read[1].items()}
        return partial(read_groups, fs, footers.schema, list(columns), kept), of_files

    def _columns_of(self, file: str, schema: pa.Schema) -> FileColumns:
        """Where the columns of the table are in a file with this schema: the names of its folders define some."""
        below = partitions(file, self._root)
        above = {name: value for name, value in self._above.items() if name not in schema.names}
        return FileColumns(constants={**above, **below})

    @cached_property
    def _above(self) -> Mapping[str, str | None]:
        """The columns that the path itself names, as that of one partition does, if a model needs them."""
        return partitions(f"{self._root}/file", PurePosixPath(self._root).anchor, only=self._types)

    @cached_property
    def _root(self) -> str:
        """The folder below which names of folders may be hive partitions."""
        return root_of(self.path)

    def _unify(
        self, files: Sequence[str], schemas: Sequence[pa.Schema], columns: Sequence[FileColumns]
    ) -> UnifiedSchema:
        """One schema for all files, with the columns that the names of folders define."""
        unified = unify_schemas(self.name, files, schemas)
        values = [of_file.constants for of_file in columns]
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
                texts = [None if (value := one.get(name)) is None else str(value) for one in values]
                schema = schema.append(pa.field(name, partition_type(texts, self._types.get(name))))
                if without := sum(name not in one for one in values):
                    partial[name] = len(files) - without
                    where = f"{without:,} of {len(files):,} files are in no folder {name}=..."
                    notes[name] = f"{self.name}: {where}; the column is null there"
        return replace(unified, schema=schema, uneven=uneven, partial=partial, unified=notes)


def _filled(footers: Footers) -> list[str]:
    """The files that have rows."""
    return [file for file, rows in zip(footers.files, footers.file_rows, strict=True) if rows]


def _schema_of(metadata: pq.FileMetaData) -> pa.Schema:
    """The file's columns, in the types in which they are read."""
    schema = metadata.schema.to_arrow_schema()
    for name in int96_columns(metadata):
        place = schema.get_field_index(name)
        schema = schema.set(place, schema.field(place).with_type(pa.timestamp(UNIT)))
    return schema
