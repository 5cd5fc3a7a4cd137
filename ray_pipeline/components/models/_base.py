"""What every model family declares: its hyperparameters and their spaces, its encoder, how it trains and how it scores.

Shapes: n rows, d matrix columns, C classes.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import SerializerFunctionWrapHandler, model_serializer

from ray_pipeline.components.choice import Choice
from ray_pipeline.components.own_code import guard
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.values import Matrix, Task, Vector

FILE = re.compile(r"model\.(?!json$|pkl$|pickle$|joblib$|pt$|pth$)[a-z0-9]+")
"""The name of a model's file in a bundle: its format is the ending. A pickle is never loaded."""
Scores = NDArray[np.floating[Any]]
"""(n,): the probability of the positive class, or a number; (n, C) for more than two classes."""
Scorer = Callable[[Matrix], Scores]
"""Scores an encoded matrix (n, d)."""
SCORING_THREADS: ContextVar[int | None] = ContextVar("SCORING_THREADS", default=None)
"""How many threads a scorer may use; None leaves it to the scorer. The scores do not depend on it."""
SMALL_BATCH_ROWS = 2_000
"""To wake a thread for each core costs more than to score fewer rows than that."""


def score_on_one_thread() -> None:
    """Let scorers of this context use one thread, because others score beside it.

    A function, because Ray pickles the work that it sends to workers, and no context variable can be pickled.
    """
    SCORING_THREADS.set(1)


def scoring_threads(matrix: Matrix, every: int, small: int = SMALL_BATCH_ROWS) -> int:
    """How many threads score the matrix; `every` stands for all cores, and fewer rows than `small` have one."""
    given = SCORING_THREADS.get()
    return given or (1 if len(matrix) < small else every)


@dataclass(frozen=True)
class TrainingContext:
    """What all fits of one run have in common."""

    task: Task
    num_classes: int
    """0 for a regression."""
    cardinalities: Mapping[str, tuple[int, ...]]
    """For each encoder the number of codes of each matrix column, 0 for a number."""
    threads: int
    device: str = "cpu"
    """`cuda` where each worker has a GPU, or a part of one."""
    class_weight: tuple[float, ...] | None = None
    """A factor for the weight of each row, by its class."""
    mean_weight: float = 1.0
    """Of the training rows. Models see weights with a mean of 1: penalties and least weights of a leaf count rows."""
    rows: int = 0
    """Training rows of all workers."""
    min_label: float = -math.inf
    """The smallest label of a regression."""
    codes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The same as `cardinalities`, also where the codes are a rank to most families."""
    monotone: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """For each encoder 1 for each matrix column with which the score may only rise, -1 where it may only fall, else 0.

    Empty without such columns. A column of codes has none, and a multiclass task neither.
    """
    interactions: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    """For each encoder the groups of matrix columns that may be in one path of a tree; each column is in a group.

    Empty without such constraints.
    """
    quantiles: tuple[float, ...] = ()
    """The quantiles to predict, the score in the middle; empty where the score alone is predicted."""
    external: bool = False
    """Whether the training data is paged from this node's disk, because it does not fit into a worker's memory."""
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each encoder the name of each matrix column, for files that can hold names."""

    def codes_of(self, encoder: str) -> tuple[int, ...]:
        """Return the number of codes of each matrix column, 0 for a number."""
        return self.codes.get(encoder, self.cardinalities[encoder])

    def row_weight(self, block: EncodedBlock) -> Vector:
        """Return the weight of each row, by the mean weight, times that of its class; shape (n,)."""
        weight = block.weight if self.mean_weight == 1 else block.weight / self.mean_weight
        if self.class_weight is not None:
            weight = weight * np.asarray(self.class_weight)[block.label.astype(int)]
        return weight


class Diverged(Exception):
    """A loss is not finite: the trial fails, and the search goes on."""


class TrainingState(ABC):
    """A model that can be trained a few rounds further and evaluated in between."""

    rounds: int = 0
    """Rounds or epochs trained so far."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Guard a class of a user's own."""
        super().__init_subclass__(**kwargs)
        guard(cls)

    @abstractmethod
    def advance(self, rounds: int) -> None:
        """Train until `rounds` rounds in all are done."""

    @abstractmethod
    def scores(self) -> Scores:
        """Score the validation rows with the model as it is now."""

    @abstractmethod
    def model(self, rounds: int) -> bytes:
        """Return the content of the family's file for the model as it was after `rounds` rounds.

        The bytes depend on the data, the hyperparameters, the seed and `rounds` alone.
        """

    @abstractmethod
    def state(self) -> bytes:
        """Return what another process needs to continue from here to the byte-identical model."""


class Model(Choice):
    """One family: each field is a hyperparameter by the name of its library, a value or a space to search."""

    encoder: ClassVar[str]
    """The encoder that makes its matrix: a file of `encoders/`."""
    start: ClassVar[dict[str, Any]]
    """The searched hyperparameters of trial 0."""
    file: ClassVar[str]
    """The model's file in a bundle: `model.ubj`, or another format that is not a pickle."""
    budget: ClassVar[str]
    """The hyperparameter that says how many rounds or epochs there are."""
    patience: ClassVar[str]
    """The hyperparameter that says after how many rounds without a better score a trial ends."""

    only_for: ClassVar[Mapping[str, Task]] = {}
    """Hyperparameters that only one task has, and the task."""
    objective_name: ClassVar[str] = "objective"
    """The hyperparameter that says which loss a regression minimizes."""
    of_objective: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Hyperparameters of some objectives only, and these objectives; None where not given."""

    newer: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that are newer than 0.1.0: a spec that leaves them at their defaults keeps its fingerprint."""

    library: ClassVar[str]
    """The package that it trains with, by the name that is imported."""
    extra: ClassVar[str | None] = None
    """The extra of ray-pipeline that installs that package, where the base does not."""
    seeded: ClassVar[bool] = True
    """Whether the model depends on the seed."""
    repeats_rounds: ClassVar[bool] = False
    """Whether a training that goes on from its state trains the rounds before it again."""
    memory_factor: ClassVar[float] = 1.0
    """How much more memory its training takes for each row than XGBoost's."""
    row_cost: ClassVar[int] = 2
    """The order of magnitude of what it costs to score a row: 0 for a linear model, 1 for trees, 2 for a net, 3 for a
    transformer. Of families within noise the one with the least is chosen, and a deterministic search divides its
    trials among families by it."""
    takes_monotone: ClassVar[bool] = False
    """Whether it follows `TrainingContext.monotone`."""
    takes_interactions: ClassVar[bool] = False
    """Whether it follows `TrainingContext.interactions`."""
    takes_quantiles: ClassVar[bool] = False
    """Whether it follows `TrainingContext.quantiles`."""
    uses_gpu: ClassVar[bool] = False
    """Whether it trains on the device of `TrainingContext.device`; other families train on CPUs everywhere."""
    collective: ClassVar[str | None] = None
    """The collective by which several workers train one model, as Ray Train names it; None for a family that trains on
    one worker."""

    @model_serializer(mode="wrap")
    def _without_what_no_objective_has(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out hyperparameters of objectives that are not given: they are newer than 0.1.0, whose specs keep their
        fingerprints."""
        return {name: value for name, value in dump(self).items() if value is not None or name not in self.of_objective}

    @classmethod
    def unfit(cls) -> str | None:
        """A model's file must say its format, which may not be a pickle."""
        if FILE.fullmatch(cls.file):
            return None
        form = "it must be named `model.` and the format, which may not be a pickle"
        return f"keeps its model in a file {cls.file!r}; {form}"

    def space(self, context: TrainingContext) -> dict[str, Any]:
        """Return each hyperparameter's value or space on this data."""
        return dict(self)

    def is_default(self, name: str) -> bool:
        """Whether a hyperparameter has the family's own value or space, written in the spec or not.

        A stored spec writes every default out: `resume` and `rerun` must not take it for a user's choice.
        """
        return bool(getattr(self, name) == type(self).model_fields[name].default)

    @classmethod
    def try_gpu(cls) -> None:
        """Compute something small on this process's GPU; raises what the library raises where it cannot."""

    @classmethod
    def warm_up(cls) -> None:
        """Import the family's library; called in worker processes before the clock of a trial starts."""

    @classmethod
    def prepare_data(
        cls,
        params: dict[str, Any],
        context: TrainingContext,
        train: Sequence[EncodedBlock],
        validation: Sequence[EncodedBlock],
    ) -> Any:
        """Return the data in the form that the family trains on; a worker keeps it until `data_key` changes.

        Parameters
        ----------
        params
            The trial's hyperparameters.
        context
            What all fits of the run have in common.
        train
            Blocks of training rows; may be iterated more than once.
        validation
            Blocks of rows to score; none for the final fit.
        """
        raise NotImplementedError

    @classmethod
    def data_key(cls, params: dict[str, Any]) -> Any:
        """Return the hyperparameters that `prepare_data` depends on: trials that agree in them share its result."""
        raise NotImplementedError

    @classmethod
    def start_training(
        cls, params: dict[str, Any], context: TrainingContext, data: Any, seed: int, state: bytes | None = None
    ) -> TrainingState:
        """Return an untrained model, or the one that gave `state`.

        Parameters
        ----------
        params
            The trial's hyperparameters.
        context
            What all fits of the run have in common.
        data
            The result of `prepare_data`.
        seed
            Decides all that is random in the training.
        state
            The result of `TrainingState.state`, possibly in another process.
        """
        raise NotImplementedError

    @classmethod
    def refit_rounds(cls, rounds: int, row_ratio: float) -> int:
        """Return the rounds of a refit on `row_ratio` times the rows.

        >>> Model.refit_rounds(100, 1.25)
        125
        """
        return max(1, round(rounds * row_ratio))

    @classmethod
    def gather(cls, shard: Scores, start: int, total: int) -> Scores:
        """Return the scores of all workers' rows, in every worker.

        Parameters
        ----------
        shard
            Scores of this worker's rows, shape (n,) or (n, C).
        start
            The place of the first of them among all rows.
        total
            The number of all rows.

        Returns
        -------
        Shape (total,) or (total, C).
        """
        assert cls.collective or len(shard) == total, "a family without a collective trains on one worker"
        padded = np.zeros((total, *shard.shape[1:]), shard.dtype)
        padded[start : start + len(shard)] = shard
        return cls.sum_over_workers(padded)

    @classmethod
    def sum_over_workers(cls, array: Scores) -> Scores:
        """Add the arrays of all workers; return the array itself where this process trains alone."""
        return array

    @classmethod
    def load(cls, folder: Path) -> Scorer:
        """Return the scorer of the model whose file is in that folder."""
        raise NotImplementedError

    @classmethod
    def quantiles(cls, folder: Path) -> Scorer:
        """Return what predicts `TrainingContext.quantiles`, shape (n, quantiles), by the model in that folder."""
        raise NotImplementedError

    @classmethod
    def contributions(cls, folder: Path, matrix: Matrix) -> Matrix | None:
        """Return what each matrix column adds to each row's score, shape (n, d); None where the family cannot say.

        With more than two classes: absolute values, summed over the classes.
        """
        return None
