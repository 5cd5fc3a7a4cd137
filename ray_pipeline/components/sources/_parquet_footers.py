"""Footers of Parquet files: read, checked, and summed over the files of a table."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from ray_pipeline.components.sources._cells import other_format
from ray_pipeline.components.sources._file_columns import FileColumns
from ray_pipeline.components.sources._footer_chunks import Chunk, footer_chunks
from ray_pipeline.errors import DataError, Problem

MAGIC = b"PAR1"
TAIL = 64 << 10
"""Bytes read from the end of a file at first: as many as Arrow reads."""
TEXTS = (".csv", ".tsv", ".txt", ".csv.gz")
KIND_FIX = "convert it, or name its kind"
MAX_COLUMNS, MAX_EXPANSION = 100_000, 1_000
MIN_BOMB, MAX_TEXT = 256 << 20, 2 << 30
"""Decompressed bytes of a column's row group from which it is checked; and the most that text may have."""


def read_footer(table: str, fs: pafs.FileSystem, info: pafs.FileInfo) -> pq.FileMetaData:
    """The footer of one file.

    Raises
    ------
    DataError
        The file is empty, cut, encrypted, unreadable or not Parquet.
    """

    def problem(found: str, fix: str) -> DataError:
        return DataError(Problem(stage="read", file=info.path, found=f"{table}: {found}", fix=fix))

    if info.size == 0:
        raise problem("the file is empty (0 bytes)", "write it again")
    try:
        with fs.open_input_file(info.path) as file:
            head = file.read(min(info.size, 12))
            if head.startswith(b"PARE"):
                raise problem("the file is encrypted", "write it without encryption; keys are not read")
            if not head.startswith(MAGIC):
                by_name = (
                    "write `kind: csv` beside the path in a spec; `predict` and `evaluate` read *.csv"
                    if info.path.lower().endswith(TEXTS)
                    else ""
                )
                what, fix = other_format(head) or (
                    f"it starts with {head!r}",
                    by_name or KIND_FIX,
                )
                raise problem(f"not Parquet: {what}", fix)
            tail = _read_tail(file, info.size, TAIL)
            if not tail.endswith(MAGIC):
                raise problem(f"the footer is missing: the file is cut at {info.size:,} bytes", "write it again")
            length = int.from_bytes(tail[-8:-4], "little") + 8
            if len(tail) < length <= info.size:
                tail = _read_tail(file, info.size, length)
        metadata, chunks = pq.read_metadata(pa.BufferReader(tail)), footer_chunks(tail[-length:-8])
        if any(chunk.encrypted for group in chunks for chunk in group):
            raise problem("columns of the file are encrypted", "write it without encryption; keys are not read")
        if reason := _misfit(metadata, chunks):
            raise problem(f"its footer is damaged: {reason}", "write it again")
        return metadata
    except PermissionError:
        raise problem("permission denied", "grant read access") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, ValueError) as error:
        raise problem(f"its footer cannot be read: {str(error).splitlines()[0]}", "write it again") from None


def _read_tail(file: pa.NativeFile, size: int, length: int) -> bytes:
    """The last bytes of a file."""
    file.seek(max(0, size - length))
    return bytes(file.read())


def _misfit(metadata: pq.FileMetaData, groups: Sequence[Sequence[Chunk]]) -> str | None:
    """Why Arrow must not be asked for the column chunks of a footer; None if it can be."""
    columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
    wanted = [(one.physical_type, one.max_repetition_level + 1, one.max_definition_level + 1) for one in columns]
    for number, chunks in enumerate(groups):
        if len(chunks) != len(columns):
            return f"row group {number} has {len(chunks):,} columns and the schema {len(columns):,}"
        for place, (chunk, (type_, repetition, definition)) in enumerate(zip(chunks, wanted, strict=True)):
            at = f"column {columns[place].path!r} is {type_}, but its chunk in row group {number}"
            if chunk.type != type_:
                return f"{at} is {chunk.type or 'of no known type'}"
            if chunk.repetition not in (0, repetition) or chunk.definition not in (0, definition):
                return f"{at} has histograms of {chunk.repetition} and {chunk.definition} levels"
            if chunk.text_bytes and type_ != "BYTE_ARRAY":
                return f"{at} tells the bytes of texts"
    if len(groups) != metadata.num_row_groups:
        return f"{metadata.num_row_groups:,} row groups are announced and {len(groups):,} are there"
    return None


def refuse_bombs(table: str, file: str, metadata: pq.FileMetaData) -> None:
    """Refuses a file that would fill the memory.

    Raises
    ------
    DataError
        There are too many columns, or a row group of a column has too much text or expands too much.
    """

    def problem(found: str, fix: str, **more: Any) -> DataError:
        return DataError(Problem(stage="read", file=file, found=f"{table}: {found}", fix=fix, **more))

    if metadata.num_columns > MAX_COLUMNS:
        raise problem(
            f"{metadata.num_columns:,} columns; at most {MAX_COLUMNS:,} are read", "write the columns that are needed"
        )
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns) if group.total_byte_size >= MIN_BOMB else ():
            column = group.column(place)
            packed, plain = column.total_compressed_size, column.total_uncompressed_size
            name = metadata.schema.column(place).path
            if plain >= MIN_BOMB and plain > MAX_EXPANSION * packed:
                found = (
                    f"row group {number} of column {name!r} expands {plain / packed:,.0f} times to"
                    f" {plain / 1e6:,.0f} MB; at most {MAX_EXPANSION:,} times are read"
                )
                raise problem(found, "write the file again, with a dictionary", column=name, rows=group.num_rows)
            if column.physical_type == "BYTE_ARRAY" and plain > MAX_TEXT:
                found = (
                    f"row group {number} holds {plain / 1e9:.1f} GB of text in column {name!r}; at"
                    f" most {MAX_TEXT / 1e9:.1f} are read"
                )
                raise problem(found, "write smaller row groups", column=name, rows=group.num_rows)


def column_bytes(
    columns: Sequence[str], footers: Iterable[tuple[pq.FileMetaData, FileColumns]]
) -> dict[str, tuple[int, int]]:
    """Bytes of each column of a table on disk and once decompressed; a nested column counts as one."""
    sizes: dict[str, tuple[int, int]] = {}
    known = set(columns)
    for metadata, of_file in footers:
        names = set(metadata.schema.to_arrow_schema().names)
        renamed = None if of_file.stored is None else {at: name for name, at in of_file.stored.items()}
        for column in _chunks(metadata):
            path = column.path_in_schema
            at = path if path in names else path.partition(".")[0]
            name = at if renamed is None else renamed.get(at)
            if name in known and name not in of_file.constants:
                packed, plain = sizes.get(name, (0, 0))
                sizes[name] = (packed + column.total_compressed_size, plain + column.total_uncompressed_size)
    return sizes


def chunk_statistics(table: str, file: str, metadata: pq.FileMetaData) -> list[Any]:
    """What identifies each column chunk of a file: name, bytes, and its statistics if there are any.

    Raises
    ------
    DataError
        A name is not UTF-8.
    """
    try:
        return _statistics(metadata)
    except UnicodeDecodeError:
        found = f"{table}: its footer is damaged: the name of a column is not UTF-8"
        raise DataError(Problem(stage="read", file=file, found=found, fix="write it again")) from None


def _statistics(metadata: pq.FileMetaData) -> list[Any]:
    return [
        [
            chunk.path_in_schema,
            chunk.total_compressed_size,
            *([s.min_raw, s.max_raw, s.null_count] if (s := chunk.statistics) and s.has_min_max else []),
        ]
        for chunk in _chunks(metadata)
    ]


def _chunks(metadata: pq.FileMetaData) -> list[pq.ColumnChunkMetaData]:
    """Every column chunk, by row group."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return [group.column(place) for group in groups for place in range(group.num_columns)]
