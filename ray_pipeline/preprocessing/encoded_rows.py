"""Encoded rows of all parts, in the object store; a worker reads a block of its own node without a copy."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ray_pipeline import encoded_block
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.runtime.tasks import task
from ray_pipeline.values import PARTS, Part, Task

if TYPE_CHECKING:
    import ray

Select = Callable[[pa.Table, int], pa.Table]
"""Selects rows: from the rows of a part in one block, and the position of the first of them in the part."""


@dataclass(frozen=True, kw_only=True)
class EncodedRows:
    """References to blocks of encoded rows, with their facts; it is small and is sent to workers."""

    task: Task
    label_name: str
    classes: tuple[str, ...]
    blocks: "tuple[ray.ObjectRef[pa.Table], ...]"
    block_rows: tuple[tuple[int, ...], ...]
    """Rows of each part in each block, in the order of `PARTS`."""
    rows: Mapping[Part, int]
    """Rows of each part."""
    num_bytes: int
    encoders: Mapping[str, Encoder]
    """By their names, which model families have as `encoder`."""
    slice_columns: tuple[str, ...]
    min_label: float
    """The smallest label of any row."""

    def part(self, part: Part, encoder: str, select: Select | None = None) -> list[EncodedBlock]:
        """Fetch the rows of one part, in file order; see `stream`."""
        return list(self.stream(part, encoder, select))

    def stream(self, part: Part, encoder: str, select: Select | None = None) -> Iterator[EncodedBlock]:
        """Fetch the rows of one part, block by block in file order; other rows stay where they are.

        Parameters
        ----------
        part
            The part to fetch.
        encoder
            The name of the encoder whose matrix comes with the rows; of several, with `+` between, side by side.
        select
            Selects some of the rows, on the node where the block is; None for all of them.
        """
        import ray

        fetch, place = task(_rows_of_part_as_ipc, num_cpus=0), PARTS.index(part)
        elsewhere, counts = _on_other_nodes(self.blocks), [rows[place] for rows in self.block_rows]
        numbered = [
            (block, first)
            for block, count, first in zip(self.blocks, counts, accumulate(counts, initial=0), strict=False)
            if count
        ]
        copies = {
            block: fetch.remote(block, part, encoder, select, first) for block, first in numbered if block in elsewhere
        }
        for block, first in numbered:
            if block in copies:
                table = pa.ipc.open_stream(ray.get(copies.pop(block))).read_all()
            else:
                table = _rows_of_part(ray.get(block), part, encoder, select, first)
            if table.num_rows:
                yield encoded_block.view(table, encoder)


def _on_other_nodes(blocks: "tuple[ray.ObjectRef[pa.Table], ...]") -> "set[ray.ObjectRef[pa.Table]]":
    """The blocks that this node has no copy of."""
    import ray

    here, places = ray.get_runtime_context().get_node_id(), ray.experimental.get_object_locations(list(blocks))
    return {block for block, place in places.items() if place["node_ids"] and here not in place["node_ids"]}


def _rows_of_part(block: pa.Table, part: Part, encoder: str, select: Select | None, first: int) -> pa.Table:
    start, stop = np.searchsorted(block[encoded_block.PART].to_numpy(), PARTS.index(part) + np.arange(2))
    matrices = [name for name in block.column_names if name.startswith(encoded_block.MATRIX)]
    used = [encoded_block.MATRIX + word for word in encoder.split(encoded_block.JOIN)]
    unused = [name for name in matrices if name not in used]
    rows = block.slice(start, stop - start).drop_columns(unused)
    return rows if select is None else select(rows, first)


def _rows_of_part_as_ipc(block: pa.Table, part: Part, encoder: str, select: Select | None, first: int) -> pa.Buffer:
    return as_ipc(_rows_of_part(block, part, encoder, select, first))


def as_ipc(table: pa.Table) -> pa.Buffer:
    """Return a table as an Arrow stream: only the rows of a slice, while Ray pickles the whole block with it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()
