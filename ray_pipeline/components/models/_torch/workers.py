"""Several workers, one net: sums and maxima over all of them, or the value itself where this process trains alone."""

import torch
from torch import Tensor
from torch import distributed as dist


def together() -> bool:
    """Return whether several workers train one net."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def number_of_workers() -> int:
    """Return how many workers train this net."""
    return dist.get_world_size() if together() else 1


def rank() -> int:
    """Return this worker's place among them, from 0."""
    return dist.get_rank() if together() else 0


def add_up(tensor: Tensor) -> Tensor:
    """Add the workers' tensors, in place."""
    if together():
        dist.all_reduce(tensor)
    return tensor


def largest(number: int) -> int:
    """Return the largest of the workers' numbers."""
    if not together():
        return number
    tensor = torch.tensor(number)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return int(tensor)
