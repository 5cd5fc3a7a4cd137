"""A worker's shard of the rows of some parts: a block is fetched when it is read, and released afterwards."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from ray_pipeline.encoded_block import EncodedBlock, views
from ray_pipeline.heartbeat import beat
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.values import PARTS, Part

if TYPE_CHECKING:
    import ray


class Shard(Sequence[EncodedBlock]):
    """The rows from `rank / world` to `(rank + 1) / world` of some parts, in order; every row is in exactly one shard.

    Reading a block fetches it, without a copy where it is on this node. Between two passes no block stays in use, so
    that Ray can spill blocks that do not fit into the object store.

    Parameters
    ----------
    encoded
        The encoded rows.
    encoder
        The name of the encoder whose matrix is read.
    *parts
        The parts that are divided among the workers.
    rank, world
        The number of the worker, and how many workers there are.
    every
        `matrix`, `label` and `weight` have only every `every`-th row of each block.
    """

    def __init__(
        self, encoded: EncodedRows, encoder: str, *parts: Part, rank: int = 0, world: int = 1, every: int = 1
    ) -> None:
        self.encoder, self.every = encoder, every
        sections = [
            (block, part, rows[PARTS.index(part)])
            for block, rows in zip(encoded.blocks, encoded.block_rows, strict=True)
            for part in parts
        ]
        total = sum(rows for *_, rows in sections)
        start, stop = total * rank // world, total * (rank + 1) // world
        self.pieces: list[tuple[ray.ObjectRef[pa.Table], Part, range]] = []
        """Blocks, each with the part and its rows within the block's rows of that part."""
        before = 0
        for block, part, rows in sections:
            first, last = max(0, start - before), min(rows, stop - before)
            if last > first:
                self.pieces.append((block, part, range(first, last)))
            before += rows

    @property
    def num_rows(self) -> int:
        """Rows of the shard."""
        return sum(len(rows[:: self.every]) for *_, rows in self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    @overload
    def __getitem__(self, at: int) -> EncodedBlock: ...
    @overload
    def __getitem__(self, at: slice) -> list[EncodedBlock]: ...
    def __getitem__(self, at: int | slice) -> Any:
        import ray

        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        beat()
        ref, part, place = self.pieces[at]
        (block,) = views([ray.get(ref)], self.encoder, part)
        rows = slice(place.start, place.stop, self.every)
        return EncodedBlock(
            matrix=block.matrix[rows],
            label=block.label[rows],
            weight=block.weight[rows],
            rows=block.rows.slice(place.start, len(place)),
        )
