"""Feature tables too large to be held whole: in parts by key hash, each made ready by itself; and the choice between
both ways.

The label rows are not moved. A block looks up each of its rows in the part that the row's key belongs to, so that every
block keeps its order, a key
that half of the label rows have is joined in all blocks at once, and no worker holds more than one part. Ray holds the
parts, and spills to disk
what its object store cannot keep.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.data.as_of_join import FeatureTable, JoinCounts
from ray_pipeline.data.join_keys import plain_key
from ray_pipeline.errors import DataError
from ray_pipeline.hashing import content_hashes
from ray_pipeline.runtime.scan import Piece
from ray_pipeline.runtime.session import find_own

if TYPE_CHECKING:
    import ray

BROADCAST_BYTES = 1 << 30
PART_BYTES = 256 << 20
Make = Callable[[pa.Table], FeatureTable]


@dataclass(frozen=True)
class JoinPlan:
    """How a feature table is joined, and why; as `joins.json` and `plan` tell it."""

    how: str
    """`broadcast` or `partitioned`."""
    parts: int
    why: str

    @classmethod
    def of(cls, decoded_bytes: int) -> "JoinPlan":
        """The plan for a table of which so many bytes, decompressed, are read."""
        size, limit = _shown(decoded_bytes), _shown(BROADCAST_BYTES)
        if decoded_bytes <= BROADCAST_BYTES:
            return cls("broadcast", 1, f"{size} once decompressed, at most {limit}: one copy a node")
        parts = max(2, -(-decoded_bytes // PART_BYTES))
        return cls(
            "partitioned",
            parts,
            f"{size} once decompressed, more than {limit}: {parts} parts by key hash of about {_shown(PART_BYTES)},"
            " spilled by Ray as needed",
        )


@dataclass(frozen=True)
class PartedTable:
    """A feature table in parts by key hash; joins any block of label rows as a whole one would."""

    parts: "tuple[ray.ObjectRef[FeatureTable], ...]"
    duplicates: int
    without_time: int
    granularity: str | None

    def join(self, keys: Sequence[pa.ChunkedArray], at: pa.ChunkedArray | None) -> tuple[pa.Table, JoinCounts]:
        """The feature columns for each label row, in its order, and the counts; holds one part at a time."""
        import ray

        part = part_of(keys, len(self.parts))
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(len(self.parts) + 1))
        found, counts = list[pa.Table](), JoinCounts()
        for place, ref in enumerate(self.parts):
            rows = pa.array(order[bounds[place] : bounds[place + 1]])
            if len(rows) or not found:
                columns, fared = ray.get(ref).join(
                    [key.take(rows) for key in keys], None if at is None else at.take(rows)
                )
                found, counts = [*found, columns], counts + fared
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(found).take(pa.array(back)), counts


def part_of(keys: Sequence[pa.ChunkedArray], parts: int) -> NDArray[np.int64]:
    """The part that each row's key belongs to, (n,); equal keys of any width belong to one."""
    plain = pa.table({str(place): plain_key(key) for place, key in enumerate(keys)})
    return (content_hashes(plain) % np.uint64(parts)).astype(np.int64)


def cut(rows: pa.Table, on: Sequence[str], parts: int) -> list[pa.Table]:
    """The rows of each part, in their order."""
    part = part_of([rows[column] for column in on], parts)
    return [rows.filter(pa.array(part == place)) for place in range(parts)]


def partition(pieces: Sequence[Piece], on: Sequence[str], parts: int, make: Make) -> PartedTable:
    """The table whose rows the pieces bring, in two parts or more: every piece is cut by key hash by a task, and every
    part made ready by another.

    Raises:
        DataError: whatever `make` found wrong in a part.
    """
    import ray

    def ready(*cuts: pa.Table) -> tuple[FeatureTable, tuple[int, int, str | None]]:
        table = make(pa.concat_tables(cuts))
        return table, (table.duplicates, table.without_time, table.granularity)

    cutting = ray.remote(lambda piece: cut(piece(), on, parts)).options(num_returns=parts)
    readying = ray.remote(ready).options(num_returns=2)
    cuts = [cutting.remote(piece) for piece in pieces]
    made = [readying.remote(*(one[place] for one in cuts)) for place in range(parts)]
    try:
        facts = ray.get([fact for _, fact in made])
    except Exception as error:
        own = find_own(error)
        if isinstance(own, DataError):
            raise own from None
        raise
    time_granularity = {granularity for _, _, granularity in facts}
    granularity = (
        None if None in time_granularity else "hour" if "hour" in time_granularity else next(iter(time_granularity))
    )
    return PartedTable(
        tuple(table for table, _ in made), sum(one for one, _, _ in facts), sum(one for _, one, _ in facts), granularity
    )


def _shown(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
