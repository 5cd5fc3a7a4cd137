"""A worker's share of the rows of some parts: blocks that are fetched when they are looked at, and let go of
afterwards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from ray_pipeline.encoded_block import EncodedBlock, views
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.values import PARTS, Part

if TYPE_CHECKING:
    import ray


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of one part within one block."""

    block: "ray.ObjectRef[pa.Table]"
    part: Part
    start: int
    stop: int


class Shard(Sequence[EncodedBlock]):
    """The rows from `rank / world` to `(rank + 1) / world` of the parts, in order: every row is in exactly one worker's
    share.

    Each look at a block fetches it (without a copy, where it is on this node), so that nothing pins the blocks between
    two passes,
    and those that do not fit into the object store can be spilled.
    """

    def __init__(
        self, encoded: Encoded, needs: str, *parts: Part, rank: int = 0, world: int = 1, every: int = 1
    ) -> None:
        """The share of worker `rank` of `world`; of each block only every `every`-th row (in `matrix`, `label` and
        `weight`)."""
        self.encoder, self.every = needs, every
        places = [
            (block, part, rows[PARTS.index(part)])
            for block, rows in zip(encoded.blocks, encoded.block_rows, strict=True)
            for part in parts
        ]
        total = sum(rows for *_, rows in places)
        self.start, self.stop = total * rank // world, total * (rank + 1) // world
        self.pieces, before = list[Piece](), 0
        for block, part, rows in places:
            first, last = max(0, self.start - before), min(rows, self.stop - before)
            if last > first:
                self.pieces.append(Piece(block, part, first, last))
            before += rows

    @property
    def num_rows(self) -> int:
        """Rows of the share."""
        return sum(len(range(piece.start, piece.stop, self.every)) for piece in self.pieces)

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
        piece = self.pieces[at]
        (block,) = views([ray.get(piece.block)], self.encoder, piece.part)
        seen = slice(piece.start, piece.stop, self.every)
        return EncodedBlock(
            matrix=block.matrix[seen],
            label=block.label[seen],
            weight=block.weight[seen],
            rows=block.rows.slice(piece.start, piece.stop - piece.start),
        )

    def __iter__(self) -> Iterator[EncodedBlock]:
        return (self[i] for i in range(len(self)))
