"""Parquet files, folders, hive partitions and globs, on a local disk or an object store."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from ray_pipeline.components.sources._base import Footers, Source
from ray_pipeline.components.sources._files import files_at, filesystem, root_of
from ray_pipeline.errors import DataError, Problem, listed

MAGIC = b"PAR1"
SUFFIXES = (".parquet", ".pq", ".parq")
MAX_COLUMNS, MAX_EXPANSION = 100_000, 1_000
MIN_BOMB, MAX_TEXT = 256 << 20, 2 << 30


class Parquet(Source):
    """A table in Parquet: `path` is a file, a folder, a glob or a URI."""

    endings: ClassVar[tuple[str, ...]] = SUFFIXES

    def footers(self) -> Footers:
        """Files, schema, rows and bytes of all footers, each file checked to be whole Parquet with the columns of the
        first."""
        fs, files = self._files()
        with ThreadPoolExecutor(16) as pool:
            metadata = list(pool.map(lambda info: self._footer(fs, info), files))
        names, sizes = [f.path for f in files], tuple(int(f.size) for f in files)
        for file, one in zip(names, metadata, strict=True):
            self._refuse_bombs(file, one)
        schema, uneven, extra = even(self.name, names, [m.schema.to_arrow_schema() for m in metadata])
        statistics = [_statistics(m) for m in metadata]
        told = [
            [PurePosixPath(f.path).name, f.size, m.num_rows, found]
            for f, m, found in zip(files, metadata, statistics, strict=True)
        ]
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
        groups = [[m.row_group(i) for i in range(m.num_row_groups)] for m in metadata]
        return Footers(
            path=self.path,
            files=tuple(names),
            schema=self._with_partitions(fs, files, schema),
            num_rows=num_rows,
            num_bytes=sum(sizes),
            fingerprint=hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest(),
            column_bytes=_column_bytes(metadata),
            uneven=uneven,
            extra=extra,
            file_bytes=sizes,
            file_rows=tuple(m.num_rows for m in metadata),
            group_rows=tuple(tuple(group.num_rows for group in of_file) for of_file in groups),
            largest_group=max((group.total_byte_size for of_file in groups for group in of_file), default=0),
        )

    def _refuse_bombs(self, file: str, metadata: pq.FileMetaData) -> None:
        """Raises `DataError` for what would fill the memory before it could be looked at."""

        def problem(found: str, fix: str, **more: Any) -> DataError:
            return DataError(Problem(stage="read", file=file, found=f"{self.name}: {found}", fix=fix, **more))

        if metadata.num_columns > MAX_COLUMNS:
            raise problem(
                f"{metadata.num_columns:,} columns; at most {MAX_COLUMNS:,} are read",
                "write the columns that are needed",
            )
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if group.total_byte_size < MIN_BOMB:
                continue
            for column in (group.column(place) for place in range(group.num_columns)):
                packed, plain = column.total_compressed_size, column.total_uncompressed_size
                if plain >= MIN_BOMB and plain > MAX_EXPANSION * packed:
                    found = (
                        f"row group {number} of column {column.path_in_schema!r} expands {plain / packed:,.0f} times to"
                        f" {plain / 1e6:,.0f} MB; at most {MAX_EXPANSION:,} times are read"
                    )
                    raise problem(
                        found,
                        "write the file again, with a dictionary",
                        column=column.path_in_schema,
                        rows=group.num_rows,
                    )
                if column.physical_type == "BYTE_ARRAY" and plain > MAX_TEXT:
                    found = (
                        f"row group {number} holds {plain / 1e9:.1f} GB of text in column {column.path_in_schema!r}; at"
                        f" most {MAX_TEXT / 1e9:.1f} are read"
                    )
                    raise problem(found, "write smaller row groups", column=column.path_in_schema, rows=group.num_rows)

    def _with_partitions(self, fs: pafs.FileSystem, files: Sequence[pafs.FileInfo], schema: pa.Schema) -> pa.Schema:
        """The schema and the columns that the names of hive folders make."""
        for one in self._dataset(fs, files[:1]).schema if "=" in files[0].path else ():
            if one.name not in schema.names and f"/{one.name}=" in files[0].path:
                whole = pads.dataset(
                    [f.path for f in files],
                    filesystem=fs,
                    format="parquet",
                    partitioning="hive",
                    partition_base_dir=root_of(self.path),
                ).schema
                schema = schema.append(whole.field(one.name))
        return schema

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole, in file order."""
        fs, files = self._files()
        return self._dataset(fs, files).to_table(columns=list(columns))

    def unreadable(self, columns: Sequence[str]) -> Problem | None:
        """What a scan stumbled over: the first file that is gone, or whose pages of a column cannot be decoded; None
        where all of it can be read."""
        fs, files = self._files()
        for info in files:
            with fs.open_input_file(info.path) as opened:
                file = pq.ParquetFile(opened)
                for group, name in (
                    (group, name)
                    for group in range(file.num_row_groups)
                    for name in columns
                    if name in file.schema_arrow.names
                ):
                    try:
                        file.read_row_group(group, columns=[name]).validate(full=True)
                    except (pa.ArrowException, OSError) as error:
                        found = (
                            f"{self.name}: row group {group} of column {name!r} cannot be read:"
                            f" {str(error).splitlines()[0][:200]}"
                        )
                        return Problem(
                            stage="read",
                            file=info.path,
                            column=name,
                            rows=file.metadata.row_group(group).num_rows,
                            found=found,
                            fix="write the file again",
                        )
        return None

    def count(self, keep: pads.Expression) -> int:
        """Rows for which `keep` is true, from statistics and the columns it names alone."""
        return self._dataset(*self._files()).count_rows(filter=keep)  # type: ignore[no-any-return]

    def pieces(
        self, footers: Footers, columns: Sequence[str], rows: int, keep: pads.Expression | None = None
    ) -> list[Callable[[], pa.Table]]:
        """The rows in pieces of whole row groups, in file order."""
        fs, _ = filesystem(self.name, self.path)
        read = partial(_read, fs, root_of(self.path), footers.schema, list(columns), keep)
        pieces, held, size = list[Callable[[], pa.Table]](), dict[str, list[int]](), 0
        for file, groups in zip(footers.files, footers.group_rows, strict=True):
            for number, length in enumerate(groups):
                if held and size + length > rows:
                    pieces.append(partial(read, held))
                    held, size = {}, 0
                held.setdefault(file, []).append(number)
                size += length
        return [*pieces, partial(read, held)]

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        return files_at(self.name, self.path, SUFFIXES, "Parquet")

    def _dataset(self, fs: pafs.FileSystem, files: Sequence[pafs.FileInfo]) -> pads.Dataset:
        partitioning = pads.partitioning(flavor="hive")
        return pads.dataset(
            [f.path for f in files],
            filesystem=fs,
            format="parquet",
            partitioning=partitioning,
            partition_base_dir=root_of(self.path),
        )

    def _footer(self, fs: pafs.FileSystem, info: pafs.FileInfo) -> pq.FileMetaData:
        def problem(found: str, fix: str) -> DataError:
            return DataError(Problem(stage="read", file=info.path, found=f"{self.name}: {found}", fix=fix))

        if info.size == 0:
            raise problem("the file is empty (0 bytes)", "write it again")
        try:
            with fs.open_input_file(info.path) as file:
                head = file.read(min(info.size, 12))
                if head.startswith(b"PARE"):
                    raise problem("the file is encrypted", "write it without encryption; keys are not read")
                if not head.startswith(MAGIC):
                    raise problem(f"not Parquet: it starts with {head!r}", "convert it, or name its kind")
                file.seek(max(0, info.size - 4))
                if file.read() != MAGIC:
                    raise problem(f"the footer is missing: the file is cut at {info.size:,} bytes", "write it again")
                return pq.read_metadata(file)
        except PermissionError:
            raise problem("permission denied", "grant read access") from None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise problem(f"its footer cannot be read: {str(error).splitlines()[0]}", "write it again") from None


def even(
    table: str, files: Sequence[str], schemas: Sequence[pa.Schema]
) -> tuple[pa.Schema, dict[str, Problem], dict[str, int]]:
    """The columns that at least half of the files have; what is wrong with some of them in some files; and the others,
    with the number of their files."""
    for file, schema in zip(files, schemas, strict=True):
        twice = [name for name, count in Counter(schema.names).items() if count > 1]
        if twice:
            found = f"{table}: {twice[0]!r} appears twice"
            raise DataError(
                Problem(
                    stage="read",
                    file=file,
                    column=twice[0],
                    found=found,
                    fix="write the file with one column of that name",
                )
            )
    if all(schema.equals(schemas[0]) for schema in schemas[1:]):
        return schemas[0].remove_metadata(), {}, {}
    fields, uneven, extra = list[pa.Field](), dict[str, Problem](), dict[str, int]()
    for name in dict.fromkeys(name for schema in schemas for name in schema.names):
        types = Counter(str(schema.field(name).type) if name in schema.names else "missing" for schema in schemas)
        if types["missing"] > len(files) / 2:
            extra[name] = len(files) - types["missing"]
            continue
        commonest = next(kind for kind, _ in types.most_common() if kind != "missing")
        fields.append(
            next(
                schema.field(name)
                for schema in schemas
                if name in schema.names and str(schema.field(name).type) == commonest
            )
        )
        if len(+types) > 1:
            odd = (+types).most_common()[-1][0]
            first = next(
                f
                for f, schema in zip(files, schemas, strict=True)
                if (str(schema.field(name).type) if name in schema.names else "missing") == odd
            )
            uneven[name] = Problem(
                stage="read",
                file=first,
                column=name,
                found=(
                    f"{table}: column {name!r} is"
                    f" {listed(f'{kind} in {count} files' for kind, count in (+types).most_common())}"
                ),
                fix=f"write it as {commonest} in every file, or leave it out of `columns`",
            )
    return pa.schema(fields), uneven, extra


def _read(
    fs: pafs.FileSystem,
    root: str,
    schema: pa.Schema,
    columns: list[str],
    keep: pads.Expression | None,
    groups: Mapping[str, list[int]],
) -> pa.Table:
    """Those row groups of those files; a folder named `year=2024` gives its files a column of the schema's type."""
    hive = pads.partitioning(pa.schema([one for one in schema if f"/{one.name}=" in next(iter(groups))]), flavor="hive")
    files = pads.dataset(
        list(groups), filesystem=fs, format="parquet", schema=schema, partitioning=hive, partition_base_dir=root
    )
    fragments = [fragment.subset(row_group_ids=groups[fragment.path]) for fragment in files.get_fragments()]
    return pa.concat_tables([fragment.to_table(schema=schema, columns=columns, filter=keep) for fragment in fragments])


def _column_bytes(metadata: Sequence[pq.FileMetaData]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for one in metadata:
        names = set(one.schema.to_arrow_schema().names)
        for i in range(one.num_row_groups):
            group = one.row_group(i)
            for j in range(group.num_columns):
                column = group.column(j)
                name = (
                    column.path_in_schema if column.path_in_schema in names else column.path_in_schema.partition(".")[0]
                )
                packed, plain = found.get(name, (0, 0))
                found[name] = (packed + column.total_compressed_size, plain + column.total_uncompressed_size)
    return found


def _statistics(metadata: pq.FileMetaData) -> list[Any]:
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    columns = (group.column(j) for group in groups for j in range(group.num_columns))
    return [
        [
            c.path_in_schema,
            c.total_compressed_size,
            *([s.min_raw, s.max_raw, s.null_count] if (s := c.statistics) and s.has_min_max else []),
        ]
        for c in columns
    ]
