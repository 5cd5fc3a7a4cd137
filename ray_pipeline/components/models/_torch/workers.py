"""Several workers, one net: sums and maxima over all of them, or the value itself where this process trains alone."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist


def together() -> bool:
    """Whether several workers train one net."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def number_of_workers() -> int:
    """How many workers train this net."""
    return dist.get_world_size() if together() else 1


def rank() -> int:
    """This worker's place among them, from 0."""
    return dist.get_rank() if together() else 0


def add_up(tensor: Tensor) -> Tensor:
    """The tensor, in place summed over the workers."""
    if together():
        dist.all_reduce(tensor)
    return tensor


def most(number: int) -> int:
    """The largest of the workers' numbers."""
    if not together():
        return number
    tensor = torch.tensor(number)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return int(tensor)


def gather(share: NDArray[Any], start: int, total: int) -> NDArray[Any]:
    """All workers' rows (total, ...) in every worker; `share` are this worker's, the first at `start`."""
    if not together():
        return share
    every = np.zeros((total, *share.shape[1:]), share.dtype)
    every[start : start + len(share)] = share
    return add_up(torch.from_numpy(every)).numpy()
