"""Training rows, taken from the blocks that all slots share: any rows, in any order.

Shapes: B rows of a batch, C matrix columns.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix, Vector

Places = NDArray[np.int64]


class Rows:
    """The rows of many blocks under one numbering, 0 to n - 1; the matrices are never copied as a whole."""

    def __init__(self, blocks: Sequence[EncodedBlock], context: TrainingContext) -> None:
        self.matrices = [block.matrix for block in blocks]
        self.first = np.cumsum([0, *(len(matrix) for matrix in self.matrices[:-1])])
        self.label: Vector = np.concatenate([np.empty(0), *(block.label for block in blocks)])
        self.weight: Vector = np.concatenate([np.empty(0), *(context.row_weight(block) for block in blocks)])

    def __len__(self) -> int:
        return len(self.label)

    def take(self, places: Places) -> Tensor:
        """Copy the rows at those places into x_BC, in that order."""
        taken: Matrix = np.empty((len(places), self.matrices[0].shape[1]), np.float32)
        block = np.searchsorted(self.first, places, side="right") - 1
        for number in np.unique(block):
            here = block == number
            taken[here] = self.matrices[number][places[here] - self.first[number]]
        return torch.from_numpy(taken)
