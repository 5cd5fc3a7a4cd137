"""What every model family says: its hyperparameters and their spaces, what its encoder must give, how it trains and how
it scores."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.choice import Choice
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix, Task

FILE = re.compile(r"model\.(?!json$|pkl$|pickle$|joblib$|pt$|pth$)[a-z0-9]+")
"""The name of a model's file in a bundle: its format is the ending. A pickle is never loaded."""
Scores = NDArray[np.floating[Any]]
Scorer = Callable[[Matrix], Scores]


@dataclass(frozen=True)
class TrainingContext:
    """What every fit of one run has in common."""

    task: Task
    num_classes: int
    cardinalities: Mapping[str, tuple[int, ...]]
    """By the encoder's word: the codes of each matrix column, 0 for a quantity."""
    threads: int
    device: str = "cpu"
    class_weight: tuple[float, ...] | None = None
    """A factor on each row's weight, by its class."""
    rows: int = 0
    """Training rows, of all workers."""
    min_label: float = -math.inf
    """The smallest label of any row; of a regression."""
    external: bool = False
    """Whether the training data is paged from this node's disk, because it does not fit into a worker's memory."""


class Diverged(Exception):
    """Training came to numbers that are not finite: the trial has failed, and its search goes on."""


class TrainingState(ABC):
    """A model in the making, that can be trained a little further and looked at in between."""

    rounds: int = 0
    """Rounds or epochs trained so far."""

    @abstractmethod
    def advance(self, rounds: int) -> None:
        """Trains until `rounds` rounds in all are done."""

    @abstractmethod
    def scores(self) -> Scores:
        """Scores of the validation rows by the model as it is now: (n,) or (n, classes)."""

    @abstractmethod
    def model(self, rounds: int) -> bytes:
        """The content of the family's file: the model as it was after `rounds` rounds; the bytes depend on nothing
        else."""

    @abstractmethod
    def state(self) -> bytes:
        """All that is needed to go on from here in another process, to the byte-identical model."""


class Model(Choice):
    """One family: each field is a hyperparameter by the name of its library, a value or a space to search."""

    encoder: ClassVar[str]
    """The encoder that feeds it: a file of `encoders/`."""
    start: ClassVar[dict[str, Any]]
    """The hyperparameters of trial 0, as far as they are searched."""
    file: ClassVar[str]
    """The model's file in a bundle: `model.ubj`, or another format that is not a pickle."""
    budget: ClassVar[str]
    """The hyperparameter that says how many rounds or epochs there are."""
    patience: ClassVar[str]
    """The hyperparameter that says after how many rounds without a better score a trial ends."""

    only_for: ClassVar[Mapping[str, Task]] = {}
    """The hyperparameters that one task alone has, and which."""

    library: ClassVar[str]
    """The package that it trains with, by the name that is imported."""
    extra: ClassVar[str | None] = None
    """The extra of ray-pipeline that installs that package, where the base does not."""
    seeded: ClassVar[bool] = True
    """Whether the seed decides anything."""
    collective: ClassVar[str | None] = None
    """The collective by which several workers train one model, as Ray Train names it; None for a family that trains on
    one worker."""

    @classmethod
    def unfit(cls) -> str | None:
        """A model's file must say its format, which may not be a pickle."""
        if FILE.fullmatch(cls.file):
            return None
        form = "it must be named `model.` and the format, which may not be a pickle"
        return f"keeps its model in a file {cls.file!r}; {form}"

    def space(self, context: TrainingContext) -> dict[str, Any]:
        """Each hyperparameter's value or space on this data."""
        return dict(self)

    @classmethod
    def warm_up(cls) -> None:
        """Imports the family's library, in a worker process that does nothing else."""

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> Any:
        """The data in the form the family trains on; held as long as `held_by` stays the same."""
        raise NotImplementedError

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """Those hyperparameters that shape the held data: trials that agree in them share it."""
        raise NotImplementedError

    @classmethod
    def start_training(
        cls, params: dict[str, Any], context: TrainingContext, data: Any, seed: int, state: bytes | None = None
    ) -> TrainingState:
        """An untrained model with these hyperparameters, or the one whose `state` it was."""
        raise NotImplementedError

    @classmethod
    def refit_rounds(cls, rounds: int, row_ratio: float) -> int:
        """The rounds of a refit on `gained` times the rows. One tree more for each share more; an epoch grows by
        itself."""
        return max(1, round(rounds * row_ratio))

    @classmethod
    def gather(cls, share: Scores, start: int, total: int) -> Scores:
        """The scores of all workers' rows, (total,) or (total, classes), in every worker; `share` are those of this
        worker, the first at `start`."""
        assert len(share) == total, "a family without a collective trains on one worker"
        return share

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """What scores an encoded matrix (rows, columns): (rows,) or (rows, classes)."""
        raise NotImplementedError

    @classmethod
    def contributions(cls, folder: Path, matrix: Matrix) -> Matrix | None:
        """What each matrix column adds to each row's score, (rows, columns), absolute and summed over classes where
        there are several; None where unknown."""
        return None
