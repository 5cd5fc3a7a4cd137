"""Scores of a trained net: the bits of a row's score depend neither on the other rows nor on the number of threads.

A matrix product adds in an order that depends on the number of rows. So rows are scored in chunks of one fixed shape on
one thread, and the last chunk is padded.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ray_pipeline.components.models._torch.heads import Head
from ray_pipeline.components.models._torch.threads import num_threads
from ray_pipeline.heartbeat import beat
from ray_pipeline.values import Matrix, Vector

CHUNK = 64


def score(net: nn.Module, head: Head, matrix: Matrix) -> Vector:
    """Score an encoded matrix (n, columns) in the net's own scale: float64, (n,) or (n, classes)."""
    with num_threads(1), torch.inference_mode():
        chunks = [_chunk(net, head, matrix[start : start + CHUNK]) for start in range(0, max(len(matrix), 1), CHUNK)]
    return torch.cat(chunks).double().numpy()


def _chunk(net: nn.Module, head: Head, matrix: Matrix) -> Tensor:
    beat()
    device = next(net.parameters()).device
    padded = np.zeros((CHUNK, matrix.shape[1]), np.float32)
    padded[: len(matrix)] = matrix
    return head.scores(net(torch.from_numpy(padded).to(device)))[: len(matrix)].cpu()
