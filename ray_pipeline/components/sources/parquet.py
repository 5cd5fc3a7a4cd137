"""Parquet files, folders, hive partitions and globs, on a local disk or an object store."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import ClassVar

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from ray_pipeline.components.sources._base import Footers, Source
from ray_pipeline.components.sources._files import files_at, filesystem, root_of
from ray_pipeline.components.sources._parquet_footers import chunk_statistics, column_bytes, read_footer, refuse_bombs
from ray_pipeline.components.sources._schemas import unify_schemas
from ray_pipeline.errors import DataError, Problem

SUFFIXES = (".parquet", ".pq", ".parq")


class Parquet(Source):
    """A table in Parquet: `path` is a file, a folder, a glob or a URI."""

    endings: ClassVar[tuple[str, ...]] = SUFFIXES

    def footers(self) -> Footers:
        """Files, schema, rows and bytes, from the footers of all files.

        Raises
        ------
        DataError
            A file cannot be read or would fill the memory, or there are no rows.
        """
        fs, files = self._files()
        with ThreadPoolExecutor(16) as pool:
            metadata = list(pool.map(lambda info: read_footer(self.name, fs, info), files))
        names, sizes = [f.path for f in files], tuple(int(f.size) for f in files)
        for file, one in zip(names, metadata, strict=True):
            refuse_bombs(self.name, file, one)
        schema, uneven, extra = unify_schemas(self.name, names, [m.schema.to_arrow_schema() for m in metadata])
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
        identity = [
            [PurePosixPath(f.path).name, f.size, m.num_rows, chunk_statistics(m)]
            for f, m in zip(files, metadata, strict=True)
        ]
        groups = [[m.row_group(number) for number in range(m.num_row_groups)] for m in metadata]
        return Footers(
            path=self.path,
            files=tuple(names),
            schema=self._with_partitions(fs, files, schema),
            num_rows=num_rows,
            num_bytes=sum(sizes),
            fingerprint=hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest(),
            column_bytes=column_bytes(metadata),
            uneven=uneven,
            extra=extra,
            file_bytes=sizes,
            file_rows=tuple(m.num_rows for m in metadata),
            group_rows=tuple(tuple(group.num_rows for group in of_file) for of_file in groups),
            largest_group=max((group.total_byte_size for of_file in groups for group in of_file), default=0),
        )

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole, in file order."""
        return self._dataset(*self._files()).to_table(columns=list(columns))

    def count(self, keep: pads.Expression) -> int:
        """Rows for which `keep` is true, from statistics and the columns it names alone."""
        return self._dataset(*self._files()).count_rows(filter=keep)  # type: ignore[no-any-return]

    def unreadable(self, columns: Sequence[str]) -> Problem | None:
        """What a scan could not read: the first row group of a column that cannot be decoded; None if all can."""
        fs, files = self._files()
        for info in files:
            with fs.open_input_file(info.path) as opened:
                file = pq.ParquetFile(opened)
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
        self, footers: Footers, columns: Sequence[str], rows: int, keep: pads.Expression | None = None
    ) -> list[Callable[[], pa.Table]]:
        """The rows in pieces of whole row groups, in file order."""
        fs, _ = filesystem(self.name, self.path)
        read = partial(_read_groups, fs, root_of(self.path), footers.schema, list(columns), keep)
        pieces, groups, size = list[Callable[[], pa.Table]](), dict[str, list[int]](), 0
        for file, lengths in zip(footers.files, footers.group_rows, strict=True):
            for number, length in enumerate(lengths):
                if groups and size + length > rows:
                    pieces.append(partial(read, groups))
                    groups, size = {}, 0
                groups.setdefault(file, []).append(number)
                size += length
        return [*pieces, partial(read, groups)]

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        return files_at(self.name, self.path, SUFFIXES, "Parquet")

    def _with_partitions(self, fs: pafs.FileSystem, files: Sequence[pafs.FileInfo], schema: pa.Schema) -> pa.Schema:
        """The schema with the columns that the names of hive folders define."""
        for one in self._dataset(fs, files[:1]).schema if "=" in files[0].path else ():
            if one.name not in schema.names and f"/{one.name}=" in files[0].path:
                schema = schema.append(self._dataset(fs, files).schema.field(one.name))
        return schema

    def _dataset(self, fs: pafs.FileSystem, files: Sequence[pafs.FileInfo]) -> pads.Dataset:
        return pads.dataset(
            [f.path for f in files],
            filesystem=fs,
            format="parquet",
            partitioning=pads.partitioning(flavor="hive"),
            partition_base_dir=root_of(self.path),
        )


def _read_groups(
    fs: pafs.FileSystem,
    root: str,
    schema: pa.Schema,
    columns: list[str],
    keep: pads.Expression | None,
    groups: Mapping[str, list[int]],
) -> pa.Table:
    """These row groups of these files; a folder named `year=2024` gives its files a column of the schema's type."""
    hive = pads.partitioning(pa.schema([one for one in schema if f"/{one.name}=" in next(iter(groups))]), flavor="hive")
    files = pads.dataset(
        list(groups), filesystem=fs, format="parquet", schema=schema, partitioning=hive, partition_base_dir=root
    )
    fragments = [fragment.subset(row_group_ids=groups[fragment.path]) for fragment in files.get_fragments()]
    return pa.concat_tables([fragment.to_table(schema=schema, columns=columns, filter=keep) for fragment in fragments])
