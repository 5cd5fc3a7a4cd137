"""Scores of a trained net: the bits of a row's score depend neither on the other rows nor on the number of threads.

A matrix product adds in an order that depends on the number of rows. So rows are scored in chunks of one fixed shape,
each on one thread, and the last chunk is padded. A GPU takes larger chunks: the bits of its scores only decide within a
search.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

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


def score(net: nn.Module, head: Head, matrix: Matrix, threads: int = 1) -> Vector:
    """Score an encoded matrix (n, columns) in the net's own scale: float64, (n,) or (n, classes).

    So many `threads` score chunks at the same time; a GPU takes one.
    """
    device = next(net.parameters()).device
    size = CHUNK if device.type == "cpu" else GPU_CHUNK
    starts = range(0, max(len(matrix), 1), size)
    shares = [starts] if device.type != "cpu" else [share for share in np.array_split(starts, threads) if len(share)]
    score_share = partial(_chunks, net, head, matrix, size=size, device=device)
    with num_threads(1), ThreadPoolExecutor(len(shares)) as pool:
        first, *others = shares
        waiting = [pool.submit(score_share, share) for share in others]
        chunks = [score_share(first), *(share.result() for share in waiting)]
    return torch.cat(chunks).double().numpy()


def _chunks(
    net: nn.Module, head: Head, matrix: Matrix, starts: Iterable[int], *, size: int, device: torch.device
) -> Tensor:
    with torch.inference_mode():  # of this thread
        return torch.cat([_chunk(net, head, matrix[start : start + size], size, device) for start in starts])


def _chunk(net: nn.Module, head: Head, matrix: Matrix, size: int, device: torch.device) -> Tensor:
    beat()
    padded = np.zeros((size, matrix.shape[1]), np.float32)
    padded[: len(matrix)] = matrix
    return head.scores(net(torch.from_numpy(padded).to(device)))[: len(matrix)].cpu()
