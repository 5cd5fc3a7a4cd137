"""What every source says: the files behind a path, what their footers tell, and the rows as a lazy Ray dataset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.dataset as pads

from ray_pipeline.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Footers:
    """What can be known of a table without reading its rows."""

    path: str
    files: tuple[str, ...]
    schema: pa.Schema
    num_rows: int
    num_bytes: int
    fingerprint: str
    """Changes when a file's name, size, row count or column statistics do."""
    column_bytes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of each column: bytes on disk, and bytes once decompressed."""
    uneven: Mapping[str, Problem] = field(default_factory=dict)
    """Columns that some files lack, or hold in another type: no harm unless they are read."""
    extra: Mapping[str, int] = field(default_factory=dict)
    """Columns that fewer than half of the files have, and in how many; they are not in the schema."""
    file_bytes: tuple[int, ...] = ()
    file_rows: tuple[int, ...] = ()
    group_rows: tuple[tuple[int, ...], ...] = ()
    """Rows of each row group of each file."""
    largest_group: int = 0
    """Bytes of the largest row group, decompressed: what one task must hold."""

    def bytes_of(self, columns: Sequence[str]) -> tuple[int, int]:
        """Bytes of these columns on disk, and once decompressed."""
        found = [self.column_bytes.get(name, (0, 0)) for name in columns]
        return sum(packed for packed, _ in found), sum(plain for _, plain in found)


class Source(Protocol):
    """Where the rows of one table are."""

    def footers(self) -> Footers:
        """Files, schema, rows and bytes; raises `DataError` for whatever cannot be read."""
        ...

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole, in file order."""
        ...

    def count(self, keep: pads.Expression) -> int:
        """Rows for which `keep` is true, from statistics and the columns it names alone."""
        ...

    def unreadable(self, columns: Sequence[str]) -> Problem | None:
        """Looked at after a scan failed: what in these columns cannot be read, if anything."""
        ...

    def pieces(
        self, footers: Footers, columns: Sequence[str], rows: int, keep: pads.Expression | None = None
    ) -> Sequence[Callable[[], pa.Table]]:
        """The rows for which `keep` is true in file order, in pieces of about so many rows or one row group, each read
        by a call on whatever worker."""
        ...


def kind_at(path: str) -> str:
    """The kind of source that rows at a path are, by the file's ending; what is no CSV file is read as Parquet."""
    return "csv" if path.lower().endswith(".csv") else "parquet"
