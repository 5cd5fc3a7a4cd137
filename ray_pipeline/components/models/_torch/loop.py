"""The one training loop of all nets: AdamW on weighted mini-batches, and an average of the weights that is what is
judged and saved.

The average (over about `AVERAGED` epochs; Polyak & Juditsky, 1992, as an exponential one) does what a falling learning
rate would, without a schedule whose
end must be known: a trial may stop at any rung, and go on. With several workers each steps through its own rows, and
gradients are averaged by weight.
"""

import copy
import json
import math
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
from ray_pipeline.components.models._torch.vectors import flatten
from ray_pipeline.components.models._torch.workers import add_up, most, number_of_workers, rank
from ray_pipeline.values import Vector

AVERAGED = 2.0
MAX_ROWS = 50_000
"""An epoch is one pass over the rows, or over a part of them where there are more: the next goes on where it ended."""
CLIP = 1.0
GATHERED = 16


class Epochs(TrainingState):
    """A net between two epochs."""

    def __init__(
        self,
        net: Callable[[], nn.Module],
        about: dict[str, Any],
        head: Head,
        data: tuple[Rows, Rows],
        params: dict[str, Any],
        context: TrainingContext,
        seed: int,
        state: bytes | None = None,
    ) -> None:
        torch.set_num_threads(context.threads)
        self.rows, self.validation = data
        self.head, self.params, self.context, self.seed, self.about = head, params, context, seed, about
        torch.manual_seed(seed)
        self.net = net().to(context.device)
        self.averaged = copy.deepcopy(self.net).eval()
        self.vectors, self.averages = flatten(self.net), flatten(self.averaged)
        decays = (params["weight_decay"], 0.0)
        self.optimizer = torch.optim.AdamW(
            [{"params": [vector], "weight_decay": decay} for vector, decay in zip(self.vectors, decays, strict=True)],
            lr=params["lr"],
        )
        self.center, self.scale = self._label_scale()
        self.batch = max(1, params["batch_size"] // number_of_workers())
        self.parts = math.ceil(most(len(self.rows)) * number_of_workers() / MAX_ROWS)
        self.steps = most(math.ceil(len(self.rows) / self.parts / self.batch))
        self.kept: dict[int, tuple[Tensor, ...]] = {}
        if state is not None:
            self._go_on(safetensors.torch.load(state))

    def advance(self, rounds: int) -> None:
        """Trains until that many epochs are done; raises `Diverged` where a loss is not finite."""
        for epoch in range(self.rounds, rounds):
            self._epoch(epoch)
            self.rounds = epoch + 1
            self.kept[self.rounds] = tuple(vector.clone() for vector in self.averages)
            self.kept.pop(self.rounds - 2 * self.params["early_stopping_epochs"] - 1, None)

    def scores(self) -> Vector:
        """By the averaged weights."""
        return (
            np.concatenate([score(self.averaged, self.head, matrix) for matrix in self.validation.matrices])
            * self.scale
            + self.center
        )

    def model(self, rounds: int) -> bytes:
        """The averaged weights after that many epochs, at most twice the patience back."""
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
        """Weights, their averages, those of the epochs that may still turn out to be the best, and the optimiser's
        moments."""
        told = {"rounds": torch.tensor(self.rounds)}
        for at, (vector, average) in enumerate(zip(self.vectors, self.averages, strict=True)):
            told |= {f"vector.{at}": vector.detach(), f"average.{at}": average}
            told |= {f"moment.{at}.{name}": moment for name, moment in self.optimizer.state[vector].items()}
            told |= {f"kept.{at}.{epoch}": vectors[at] for epoch, vectors in self.kept.items()}
        return safetensors.torch.save({name: tensor.cpu().clone() for name, tensor in told.items()})

    def _go_on(self, told: dict[str, Tensor]) -> None:
        """Stands where the net of that state stood."""
        self.rounds = int(told["rounds"])
        epochs = sorted(int(name.removeprefix("kept.0.")) for name in told if name.startswith("kept.0."))
        self.kept = {
            epoch: tuple(told[f"kept.{at}.{epoch}"].to(self.context.device) for at in range(len(self.vectors)))
            for epoch in epochs
        }
        with torch.no_grad():
            _copy(tuple(told[f"vector.{at}"] for at in range(len(self.vectors))), self.vectors)
            _copy(tuple(told[f"average.{at}"] for at in range(len(self.averages))), self.averages)
        for at, vector in enumerate(self.vectors):
            moments = {
                name.rpartition(".")[2]: moment for name, moment in told.items() if name.startswith(f"moment.{at}.")
            }
            self.optimizer.state[vector] = {
                name: moment if name == "step" else moment.to(self.context.device) for name, moment in moments.items()
            }

    def _label_scale(self) -> tuple[float, float]:
        """Mean and deviation of a regression's labels, by weight; in float64, so that labels of 1e12 train as those of
        1 do."""
        if self.head.task != "regression":
            return 0.0, 1.0
        label, weight = self.rows.label, self.rows.weight
        total, first = add_up(torch.tensor([weight.sum(), (weight * label).sum()], dtype=torch.float64)).tolist()
        center = first / total if total > 0 else 0.0
        (second,) = add_up(torch.tensor([(weight * (label - center) ** 2).sum()], dtype=torch.float64)).tolist()
        return center, math.sqrt(second / total) if total > 0 and second > 0 else 1.0

    def _epoch(self, epoch: int) -> None:
        torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch, rank()]).generate_state(1)[0]))  # of dropout
        self.net.train()
        losses = torch.zeros((), device=self.context.device)
        order = self._order(epoch)
        for start in range(0, self.steps * self.batch, GATHERED * self.batch):
            some = order[start : start + GATHERED * self.batch]
            x, label, weight = self._gather(some)
            for at in range(0, min(GATHERED, self.steps - start // self.batch) * self.batch, self.batch):
                here = slice(at, at + self.batch)
                losses += self._step(
                    x[here], label[here], weight[here], epoch * self.steps + (start + at) // self.batch
                )
        if not math.isfinite(float(add_up(losses))):  # of all workers, so that they end together
            raise Diverged(
                f"the loss is not finite in epoch {epoch + 1}: lr {self.params['lr']:g} is too high for these rows"
            )

    def _order(self, epoch: int) -> Places:
        """This epoch's rows: a part of the seeded permutation of the pass that it belongs to."""
        at_pass, part = divmod(epoch, self.parts)
        shuffled = np.random.default_rng([self.seed, at_pass, rank()]).permutation(len(self.rows))
        return np.array_split(shuffled, self.parts)[part]

    def _gather(self, places: Places) -> tuple[Tensor, Tensor, Tensor]:
        label = ((self.rows.label[places] - self.center) / self.scale).astype(np.float32)
        weight = self.rows.weight[places].astype(np.float32)
        x = self.rows.take(places)
        return (
            x.to(self.context.device),
            torch.from_numpy(label).to(self.context.device),
            torch.from_numpy(weight).to(self.context.device),
        )

    def _step(self, x_BC: Tensor, label_B: Tensor, weight_B: Tensor, step: int) -> Tensor:
        """One step of the optimiser; the sum of the weighted losses. A worker whose rows are used up takes part with
        none."""
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
            vector.grad.mul_((CLIP / (norm + 1e-6)).clamp(max=1))
        self.optimizer.step()
        decay = min(1 - 1 / (AVERAGED * self.steps), (1 + step) / (10 + step))
        for average, vector in zip(self.averages, self.vectors, strict=True):
            average.lerp_(vector, 1 - decay)
        return loss.detach()


def _copy(source: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> None:
    for one, other in zip(source, target, strict=True):
        other.copy_(one)
