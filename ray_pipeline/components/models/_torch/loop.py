"""The training loop of all nets: AdamW on weighted mini-batches. A running average of the weights is scored and saved.

The average (Polyak & Juditsky, 1992; exponential, over about `AVERAGED_EPOCHS` epochs) replaces a schedule of the
learning rate, which would need to know the last epoch: a trial may stop at any rung, and continue. Of several workers
each one steps through its own rows, and gradients are averaged by weight.
"""

import copy
import json
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from ray_pipeline.components.models._base import Diverged, TrainingContext, TrainingState
from ray_pipeline.components.models._torch.heads import Head
from ray_pipeline.components.models._torch.rows import Places, Rows
from ray_pipeline.components.models._torch.scoring import score
from ray_pipeline.components.models._torch.threads import num_threads
from ray_pipeline.components.models._torch.vectors import flatten
from ray_pipeline.components.models._torch.workers import add_up, largest, number_of_workers, rank
from ray_pipeline.heartbeat import beat
from ray_pipeline.values import Vector

AVERAGED_EPOCHS = 2.0
MAX_EPOCH_ROWS = 50_000
"""An epoch is one pass over the rows, or over a part of them where there are more: the next one continues there."""
MAX_GRADIENT_NORM = 1.0
BATCHES_AT_ONCE = 16
"""Batches whose rows are copied together."""


class Epochs(TrainingState):
    """A net, between two epochs."""

    def __init__(
        self,
        build: Callable[[], nn.Module],
        about: dict[str, Any],
        data: tuple[Rows, Rows],
        context: TrainingContext,
        seed: int,
        state: bytes | None,
    ) -> None:
        self.rows, self.validation = data
        self.head, self.params = Head(context.task, context.num_classes), about["params"]
        self.about, self.context, self.seed = about, context, seed
        if context.device != "cpu":
            _compute_same_bits_on_gpu()
        torch.manual_seed(seed)
        self.net = build().to(context.device)
        self.averaged = copy.deepcopy(self.net).eval()
        self.vectors, self.averages = flatten(self.net), flatten(self.averaged)
        decays = (self.params["weight_decay"], 0.0)
        self.optimizer = torch.optim.AdamW(
            [{"params": [vector], "weight_decay": decay} for vector, decay in zip(self.vectors, decays, strict=True)],
            lr=self.params["lr"],
        )
        self.center, self.scale = self._label_scale()
        self.batch = max(1, self.params["batch_size"] // number_of_workers())
        self.parts = math.ceil(largest(len(self.rows)) * number_of_workers() / MAX_EPOCH_ROWS)
        self.steps = largest(math.ceil(len(self.rows) / self.parts / self.batch))
        self.kept: dict[int, tuple[Tensor, ...]] = {}
        if state is not None:
            self._restore(safetensors.torch.load(state))

    def advance(self, rounds: int) -> None:
        """Train until that many epochs are done.

        Raises
        ------
        Diverged
            A loss is not finite.
        """
        with num_threads(self.context.threads):
            for epoch in range(self.rounds, rounds):
                self._epoch(epoch)
                self.rounds = epoch + 1
                self.kept[self.rounds] = tuple(vector.clone() for vector in self.averages)
                self.kept.pop(self.rounds - 2 * self.params["early_stopping_epochs"] - 1, None)

    def scores(self) -> Vector:
        """Score the validation rows with the averaged weights."""
        scores = np.concatenate([score(self.averaged, self.head, matrix) for matrix in self.validation.matrices])
        return scores * self.scale + self.center

    def model(self, rounds: int) -> bytes:
        """Return the averaged weights after that many epochs, at most twice the patience ago."""
        now = tuple(vector.clone() for vector in self.averages)
        _copy(self.kept[rounds], self.averages)
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in self.averaged.state_dict().items()}
        _copy(now, self.averages)
        label = {
            "label.center": torch.tensor(self.center, dtype=torch.float64),
            "label.scale": torch.tensor(self.scale, dtype=torch.float64),
        }
        return safetensors.torch.save({**tensors, **label}, {"net": json.dumps(self.about, sort_keys=True)})

    def state(self) -> bytes:
        """Return weights, averages, the averages of epochs that may turn out to be the best, and AdamW's moments."""
        tensors = {"rounds": torch.tensor(self.rounds)}
        for at, (vector, average) in enumerate(zip(self.vectors, self.averages, strict=True)):
            tensors |= {f"vector.{at}": vector.detach(), f"average.{at}": average}
            tensors |= {f"moment.{at}.{name}": moment for name, moment in self.optimizer.state[vector].items()}
            tensors |= {f"kept.{at}.{epoch}": vectors[at] for epoch, vectors in self.kept.items()}
        return safetensors.torch.save({name: tensor.cpu().clone() for name, tensor in tensors.items()})

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.rounds = int(tensors["rounds"])
        epochs = sorted(int(name.removeprefix("kept.0.")) for name in tensors if name.startswith("kept.0."))
        self.kept = {
            epoch: tuple(tensors[f"kept.{at}.{epoch}"].to(self.context.device) for at in range(len(self.vectors)))
            for epoch in epochs
        }
        with torch.no_grad():
            _copy(tuple(tensors[f"vector.{at}"] for at in range(len(self.vectors))), self.vectors)
            _copy(tuple(tensors[f"average.{at}"] for at in range(len(self.averages))), self.averages)
        for at, vector in enumerate(self.vectors):
            moments = {
                name.rpartition(".")[2]: moment for name, moment in tensors.items() if name.startswith(f"moment.{at}.")
            }
            self.optimizer.state[vector] = {
                name: moment if name == "step" else moment.to(self.context.device) for name, moment in moments.items()
            }

    def _label_scale(self) -> tuple[float, float]:
        """Weighted mean and deviation of a regression's labels, in float64: labels of 1e12 train as labels of 1 do."""
        if self.head.task != "regression":
            return 0.0, 1.0
        label, weight = self.rows.label, self.rows.weight
        total, first = add_up(torch.tensor([weight.sum(), (weight * label).sum()], dtype=torch.float64)).tolist()
        center = first / total if total > 0 else 0.0
        (second,) = add_up(torch.tensor([(weight * (label - center) ** 2).sum()], dtype=torch.float64)).tolist()
        return center, math.sqrt(second / total) if total > 0 and second > 0 else 1.0

    def _epoch(self, epoch: int) -> None:
        torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch, rank()]).generate_state(1)[0]))  # for dropout
        self.net.train()
        losses = torch.zeros((), device=self.context.device)
        order = self._order(epoch)
        for start in range(0, self.steps * self.batch, BATCHES_AT_ONCE * self.batch):
            x, label, weight = self._take(order[start : start + BATCHES_AT_ONCE * self.batch])
            for at in range(0, min(BATCHES_AT_ONCE, self.steps - start // self.batch) * self.batch, self.batch):
                beat()
                here = slice(at, at + self.batch)
                losses += self._step(
                    x[here], label[here], weight[here], epoch * self.steps + (start + at) // self.batch
                )
        if not math.isfinite(float(add_up(losses))):  # of all workers, so that they end together
            raise Diverged(
                f"the loss is not finite in epoch {epoch + 1}: lr {self.params['lr']:g} is too high for these rows"
            )

    def _order(self, epoch: int) -> Places:
        """The rows of this epoch: a part of the seeded permutation of its pass."""
        at_pass, part = divmod(epoch, self.parts)
        shuffled = np.random.default_rng([self.seed, at_pass, rank()]).permutation(len(self.rows))
        return np.array_split(shuffled, self.parts)[part]

    def _take(self, places: Places) -> tuple[Tensor, Tensor, Tensor]:
        label = ((self.rows.label[places] - self.center) / self.scale).astype(np.float32)
        weight = self.rows.weight[places].astype(np.float32)
        x = self.rows.take(places)
        return (
            x.to(self.context.device),
            torch.from_numpy(label).to(self.context.device),
            torch.from_numpy(weight).to(self.context.device),
        )

    def _step(self, x_BC: Tensor, label_B: Tensor, weight_B: Tensor, step: int) -> Tensor:
        """One step of the optimizer; returns the sum of the weighted losses. A worker may have no rows left."""
        self.optimizer.zero_grad(set_to_none=False)
        loss = torch.zeros((), device=x_BC.device)
        if len(x_BC):
            with torch.autocast(self.context.device, torch.bfloat16, enabled=self.context.device != "cpu"):
                outputs = self.net(x_BC)
            loss = (self.head.loss(outputs.float(), label_B) * weight_B).sum()
            torch.autograd.backward(loss)
        total = add_up(weight_B.sum())
        for vector in self.vectors:
            assert vector.grad is not None
            add_up(vector.grad).div_(total.clamp(min=1e-12))
        norm = torch.stack([vector.grad.norm() for vector in self.vectors if vector.grad is not None]).norm()
        for vector in self.vectors:
            assert vector.grad is not None
            vector.grad.mul_((MAX_GRADIENT_NORM / (norm + 1e-6)).clamp(max=1))
        self.optimizer.step()
        decay = min(1 - 1 / (AVERAGED_EPOCHS * self.steps), (1 + step) / (10 + step))
        for average, vector in zip(self.averages, self.vectors, strict=True):
            average.lerp_(vector, 1 - decay)
        return loss.detach()


def _compute_same_bits_on_gpu() -> None:
    """Lets the GPU add in a fixed order, for this whole process."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.enable_mem_efficient_sdp(False)  # its gradients differ from run to run


def _copy(source: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> None:
    for one, other in zip(source, target, strict=True):
        other.copy_(one)
