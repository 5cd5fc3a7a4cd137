"""All parameters of a net as views of two vectors: one step of the optimiser, the average and the workers' exchange is
then a handful of operations."""

import torch
from torch import Tensor, nn


def flatten(net: nn.Module) -> tuple[Tensor, Tensor]:
    """Vectors of the parameters that decay (weights of linear layers) and of all others; from now on the net's
    parameters are views of them."""
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
