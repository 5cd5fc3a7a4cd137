"""The rows that XGBoost trains on: blocks become a quantised matrix, in memory or paged from disk."""

import tempfile
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.components.models._xgboost import import_xgboost
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.heartbeat import beat

if TYPE_CHECKING:
    import xgboost


def quantised(
    blocks: Sequence[EncodedBlock], context: TrainingContext, max_bin: int, encoder: str
) -> "xgboost.DMatrix":
    """Build the quantised matrix of the blocks: about one byte per cell, without a copy of the floats.

    `QuantileDMatrix` takes four passes over the blocks. Where memory is too small, `ExtMemQuantileDMatrix` pages the
    bins from this node's disk.
    """
    xgboost = import_xgboost()
    # XGBoost keeps the weights of the block before where a block comes without: either all blocks have weights or none.
    is_weighted = any((context.row_weight(block) != 1).any() for block in blocks)
    types = ["c" if codes else "q" for codes in context.cardinalities[encoder]]

    class Blocks(xgboost.DataIter):  # type: ignore[misc, name-defined]
        def __init__(self, cache: str | None) -> None:
            self.at = 0
            super().__init__(cache_prefix=cache, release_data=True)

        def reset(self) -> None:
            self.at = 0

        def next(self, input_data: Any) -> bool:
            if self.at == len(blocks):
                return False
            block = blocks[self.at]
            weight = context.row_weight(block) if is_weighted else None
            input_data(data=block.matrix, label=block.label, weight=weight, feature_types=types)
            self.at += 1
            beat()
            return True

    shape: dict[str, Any] = {"max_bin": max_bin, "nthread": context.threads, "enable_categorical": True}
    if context.external:
        folder = tempfile.TemporaryDirectory(prefix="ray-pipeline-pages-", ignore_cleanup_errors=True)
        matrix = xgboost.ExtMemQuantileDMatrix(Blocks(f"{folder.name}/train"), **shape)
        weakref.finalize(matrix, folder.cleanup)  # the files live as long as the matrix
    else:
        matrix = xgboost.QuantileDMatrix(Blocks(None), **shape)
    expected = sum(len(block.label) for block in blocks)
    if matrix.num_row() != expected:
        raise RuntimeError(f"{expected:,} rows went into the quantised matrix and {matrix.num_row():,} came out")
    return matrix
