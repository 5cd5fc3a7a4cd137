"""Each piece of a scan gives one block, whatever its size and whatever block size the user's own Ray Data has."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from ray_pipeline import encoded_block
from ray_pipeline.runtime.scan import map_pieces
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

pytestmark = pytest.mark.ray
ROWS = 10_000


def rows_of(piece: int) -> pa.Table:
    return pa.table({"x": np.arange(piece * ROWS, (piece + 1) * ROWS)})


def in_parts(rows: pa.Table) -> pa.Table:
    """The rows as an encoded block: ordered by part, here the remainder by 3."""
    part = (rows["x"].to_numpy() % 3).astype(np.int8)
    order = np.argsort(part, kind="stable")
    return pa.table({encoded_block.PART: part[order], "x": rows["x"].to_numpy()[order]})


@pytest.mark.parametrize("users_bytes", [1_000, 100_000, None])
def test_a_piece_gives_one_block(ray_local: None, monkeypatch: pytest.MonkeyPatch, users_bytes: int | None) -> None:
    import ray

    monkeypatch.setattr(ray.data.DataContext.get_current(), "target_max_block_size", users_bytes)
    with session(Where(address="auto")):
        pieces = [partial(rows_of, piece) for piece in range(3)]
        found = map_pieces(pieces, in_parts, 999, encoded_block.by_part).materialize()
        blocks: Sequence[pa.Table] = ray.get(found.to_arrow_refs())
    assert [block.num_rows for block in blocks] == [ROWS] * 3
    for piece, block in enumerate(blocks):
        whole = in_parts(rows_of(piece))
        assert block.equals(whole)  # cut into eleven, worked on, and put together again
        assert block["x"].num_chunks == 1
