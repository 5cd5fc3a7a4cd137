"""Scores of a trained net: the same bits for a row whatever rows come with it, and however many threads there are.

A matrix product sums in an order that depends on the number of rows. So rows are scored in chunks of one fixed shape on
one thread, the last one padded.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ray_pipeline.components.models._torch.heads import Head
from ray_pipeline.values import Matrix, Vector

CHUNK = 64


def score(net: nn.Module, head: Head, matrix: Matrix) -> Vector:
    """float64 scores in the net's own scale: (rows,) or (rows, classes)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            found = [_chunk(net, head, matrix[start : start + CHUNK]) for start in range(0, max(len(matrix), 1), CHUNK)]
    finally:
        torch.set_num_threads(threads)
    return torch.cat(found).double().numpy()


def _chunk(net: nn.Module, head: Head, matrix: Matrix) -> Tensor:
    device = next(net.parameters()).device
    padded = np.zeros((CHUNK, matrix.shape[1]), np.float32)
    padded[: len(matrix)] = matrix
    return head.scores(net(torch.from_numpy(padded).to(device)))[: len(matrix)].cpu()
