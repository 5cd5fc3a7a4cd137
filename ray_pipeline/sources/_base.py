"""What every source says: the files behind a path, what their footers tell, and the rows as a lazy Ray dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    import ray.data
    from ray.data.expressions import Expr


@dataclass(frozen=True)
class Footers:
    """What can be known of a table without reading its rows."""

    path: str
    files: tuple[str, ...]
    schema: pa.Schema
    num_rows: int
    num_bytes: int
    fingerprint: str
    """Changes when a file's name, size, row count or column statistics do."""


class Source(Protocol):
    """Where the rows of one table are."""

    def footers(self) -> Footers:
        """Files, schema, rows and bytes; raises `DataError` for whatever cannot be read."""
        ...

    def rows(self, columns: Sequence[str], keep: "Expr | None") -> "ray.data.Dataset":
        """The rows as a lazy dataset, projection and filter pushed down to the scan."""
        ...

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The rows of a small table, whole, in file order."""
        ...
