"""Joins of feature tables that are too large for a copy on every node, and the choice between both ways.

Such a table is partitioned by key hash, and each partition is prepared separately. The label rows do not move: a block
looks up each of its rows in the partition of the row's key. So every block keeps its order, a key that half of the
label rows have is joined in all blocks at once, and no worker holds more than one partition. Ray holds the partitions
and spills to disk what its object store cannot keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.byte_size import byte_size
from ray_pipeline.data.as_of_join import JoinOptions, JoinTable, prepare
from ray_pipeline.data.join_counts import JoinCounts
from ray_pipeline.data.join_keys import plain_key
from ray_pipeline.hashing import hash_rows
from ray_pipeline.runtime.ray_errors import own_errors
from ray_pipeline.runtime.scan import Piece
from ray_pipeline.runtime.tasks import task

if TYPE_CHECKING:
    import ray

BROADCAST_BYTES = 1 << 30
PART_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class JoinPlan:
    """How a feature table is joined, and why; as in `joins.json` and in the answer of `plan`."""

    how: str
    """`broadcast` or `partitioned`."""
    parts: int
    """Number of partitions."""
    why: str

    @classmethod
    def of(cls, decoded_bytes: int) -> "JoinPlan":
        """The plan for a table.

        Parameters
        ----------
        decoded_bytes
            Decompressed bytes of the columns that are read.
        """
        size, limit = byte_size(decoded_bytes), byte_size(BROADCAST_BYTES)
        if decoded_bytes <= BROADCAST_BYTES:
            why = f"{size} once decompressed, at most {limit}: one copy on each node"
            return cls(how="broadcast", parts=1, why=why)
        parts = max(2, -(-decoded_bytes // PART_BYTES))
        why = (
            f"{size} once decompressed, more than {limit}: {parts} parts by key hash of about {byte_size(PART_BYTES)},"
            " spilled by Ray as needed"
        )
        return cls(how="partitioned", parts=parts, why=why)


@dataclass(frozen=True, kw_only=True)
class PartitionedTable:
    """A feature table, partitioned by key hash; it joins a block of label rows as the whole table does."""

    partitions: "tuple[ray.ObjectRef[JoinTable], ...]"
    duplicates: int
    without_time: int
    granularity: str | None

    def join(self, keys: Sequence[pa.ChunkedArray], at: pa.ChunkedArray | None) -> tuple[pa.Table, JoinCounts]:
        """As `JoinTable.join`; holds one partition at a time."""
        import ray

        partition = partition_of(keys, len(self.partitions))
        order = np.argsort(partition, kind="stable")
        bounds = np.searchsorted(partition[order], np.arange(len(self.partitions) + 1))
        joined, counts = list[pa.Table](), JoinCounts()
        for number, ref in enumerate(self.partitions):
            rows = pa.array(order[bounds[number] : bounds[number + 1]])
            if len(rows) or not joined:
                columns, added = ray.get(ref).join(
                    [key.take(rows) for key in keys], None if at is None else at.take(rows)
                )
                joined, counts = [*joined, columns], counts + added
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(joined).take(pa.array(back)), counts


def partition_of(keys: Sequence[pa.ChunkedArray], num_partitions: int) -> NDArray[np.int64]:
    """The partition of each row's key; shape (rows,). Equal keys of any integer or text width have the same one."""
    plain = pa.table({str(number): plain_key(key) for number, key in enumerate(keys)})
    return (hash_rows(plain) % np.uint64(num_partitions)).astype(np.int64)


def split_by_key(rows: pa.Table, on: Sequence[str], num_partitions: int) -> list[pa.Table]:
    """The rows of each partition, in their order."""
    partition = partition_of([rows[column] for column in on], num_partitions)
    return [rows.filter(pa.array(partition == number)) for number in range(num_partitions)]


def partition_table(pieces: Sequence[Piece], options: JoinOptions, num_partitions: int) -> PartitionedTable:
    """The table that the pieces hold, partitioned by key hash on the cluster.

    One task for each piece splits it by key; one task for each partition prepares it.

    Parameters
    ----------
    pieces
        Calls that read the table's rows, each of them some rows.
    options
        How the table is joined.
    num_partitions
        At least two.

    Raises
    ------
    DataError
        A partition cannot be prepared, for instance because a lookup's key occurs twice.
    """
    import ray

    def prepare_partition(*tables: pa.Table) -> tuple[JoinTable, tuple[int, int, str | None]]:
        table = prepare(pa.concat_tables(tables), options)
        return table, (table.duplicates, table.without_time, table.granularity)

    split = task(lambda piece: split_by_key(piece(), options.on, num_partitions), num_returns=num_partitions)
    prepare_task = task(prepare_partition, num_returns=2)
    splits = [split.remote(piece) for piece in pieces]
    prepared = [prepare_task.remote(*(tables[number] for tables in splits)) for number in range(num_partitions)]
    with own_errors():
        duplicates, without_time, granularities = zip(*ray.get([facts for _, facts in prepared]), strict=True)
    finest_first = [None, "hour", "day"]  # the table's times are as fine as those of its finest partition
    return PartitionedTable(
        partitions=tuple(table for table, _ in prepared),
        duplicates=sum(duplicates),
        without_time=sum(without_time),
        granularity=min(granularities, key=finest_first.index),
    )
