"""What the families of nets have in common: rows, training loop and file format. Each family only builds its net."""

import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.models._base import Model, Scorer, Scores, TrainingContext, TrainingState, scoring_threads
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix

if TYPE_CHECKING:
    from torch import nn


SMALL_BATCH_ROWS = 256
"""Fewer rows are scored on one thread."""


class Net(Model):
    """A family of nets, which defines `build`."""

    encoder: ClassVar[str] = "nets"
    library: ClassVar[str] = "torch"
    extra: ClassVar[str | None] = "nn"
    file: ClassVar[str] = "model.safetensors"
    budget: ClassVar[str] = "n_epochs"
    patience: ClassVar[str] = "early_stopping_epochs"
    collective: ClassVar[str | None] = "torch"
    uses_gpu: ClassVar[bool] = True

    @classmethod
    def build(cls, params: dict[str, Any], cardinalities: Sequence[int], num_outputs: int) -> "nn.Module":
        """Build the untrained net.

        Parameters
        ----------
        params
            The trial's hyperparameters.
        cardinalities
            For each matrix column its number of ids, 0 for a number.
        num_outputs
            Outputs of each net.

        Returns
        -------
        A module that maps float32 (rows, columns) to (rows, nets, num_outputs).
        """
        raise NotImplementedError

    @classmethod
    def warm_up(cls) -> None:
        """Import PyTorch."""
        importlib.import_module("torch")

    @classmethod
    def try_gpu(cls) -> None:
        """Add two numbers on the GPU."""
        torch = importlib.import_module("torch")
        torch.ones(1, device="cuda").add_(1).cpu()

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """Return None: the rows stay as they are."""
        return None

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> Any:
        """Number the rows of each part, without a copy."""
        from ray_pipeline.components.models._torch.rows import Rows

        return Rows(train, context), Rows(validation, context)

    @classmethod
    def start_training(
        cls, params: dict[str, Any], context: TrainingContext, data: Any, seed: int, state: bytes | None = None
    ) -> TrainingState:
        """Return a net with random weights, or the net of `state`."""
        from ray_pipeline.components.models._torch.heads import Head
        from ray_pipeline.components.models._torch.loop import Epochs

        head, cardinalities = Head(context.task, context.num_classes), context.cardinalities[cls.encoder]
        about = {
            "params": params,
            "cardinalities": cardinalities,
            "task": context.task,
            "num_classes": context.num_classes,
        }
        return Epochs(lambda: cls.build(params, cardinalities, head.num_outputs), about, data, context, seed, state)

    @classmethod
    def refit_rounds(cls, rounds: int, row_ratio: float) -> int:
        """Return `rounds`: with more rows, an epoch has more steps."""
        return rounds

    @classmethod
    def sum_over_workers(cls, array: Scores) -> Scores:
        """Add the arrays of all workers with PyTorch's collective."""
        import torch

        from ray_pipeline.components.models._torch.workers import add_up

        return add_up(torch.from_numpy(array)).numpy()

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Return the scorer of the net in the folder; scores are float64 and computed on the CPU."""
        import safetensors

        from ray_pipeline.components.models._torch.heads import Head
        from ray_pipeline.components.models._torch.scoring import score

        with safetensors.safe_open(folder / cls.file, "pt") as opened:
            about = json.loads(opened.metadata()["net"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        center, scale = (float(tensors.pop(f"label.{name}")) for name in ("center", "scale"))
        head = Head(about["task"], about["num_classes"])
        net = cls.build(about["params"], about["cardinalities"], head.num_outputs).eval()
        net.load_state_dict(tensors)

        def scores(matrix: Matrix) -> NDArray[np.floating[Any]]:
            threads = scoring_threads(matrix, len(os.sched_getaffinity(0)), SMALL_BATCH_ROWS)
            return score(net, head, matrix, threads) * scale + center

        return scores
