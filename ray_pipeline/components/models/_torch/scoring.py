"""Scores of a trained net: the bits of a row's score depend neither on the other rows nor on the number of threads.

A matrix product adds in an order that depends on the number of rows. So rows are scored in chunks of one fixed shape on
one thread, and the last chunk is padded. A GPU takes larger chunks: the bits of its scores only decide within a search.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ray_pipeline.components.models._torch.heads import Head
from ray_pipeline.components.models._torch.threads import num_threads
from ray_pipeline.heartbeat import beat
from ray_pipeline.values import Matrix, Vector

CHUNK, GPU_CHUNK = 32, 8192
"""One row costs as much as a chunk: an `mlp` of 26 columns takes 0.37 ms for 32 rows and 0.67 for 64, and a batch 11 %
more for each row."""


def score(net: nn.Module, head: Head, matrix: Matrix) -> Vector:
    """Score an encoded matrix (n, columns) in the net's own scale: float64, (n,) or (n, classes)."""
    device = next(net.parameters()).device
    size = CHUNK if device.type == "cpu" else GPU_CHUNK
    with num_threads(1), torch.inference_mode():
        starts = range(0, max(len(matrix), 1), size)
        chunks = [_chunk(net, head, matrix[start : start + size], size, device) for start in starts]
    return torch.cat(chunks).double().numpy()


def _chunk(net: nn.Module, head: Head, matrix: Matrix, size: int, device: torch.device) -> Tensor:
    beat()
    padded = np.zeros((size, matrix.shape[1]), np.float32)
    padded[: len(matrix)] = matrix
    return head.scores(net(torch.from_numpy(padded).to(device)))[: len(matrix)].cpu()
