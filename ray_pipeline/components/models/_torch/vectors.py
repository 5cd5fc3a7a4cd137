"""All parameters of a net as views of two vectors.

A step of the optimizer, the running average and the exchange between workers are then a few operations each.
"""

import torch
from torch import Tensor, nn


def flatten(net: nn.Module) -> tuple[Tensor, Tensor]:
    """Make the parameters of the net views of two vectors: those that decay (weights of linear layers), and the others.

    >>> [len(vector) for vector in flatten(nn.Linear(3, 2))]
    [6, 2]
    """
    decaying = {id(module.weight) for module in net.modules() if isinstance(module, nn.Linear)}
    parameters = list(net.parameters())
    return _one([p for p in parameters if id(p) in decaying]), _one([p for p in parameters if id(p) not in decaying])


def _one(parameters: list[nn.Parameter]) -> Tensor:
    vector = torch.cat([p.detach().reshape(-1) for p in parameters]) if parameters else torch.empty(0)
    gradient, start = torch.zeros_like(vector), 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.data = vector[start:stop].view_as(parameter)
        parameter.grad = gradient[start:stop].view_as(parameter)
        start = stop
    vector.grad = gradient
    return vector
