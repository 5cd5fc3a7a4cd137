"""What a stage leaves behind: frozen, typed values that the next stage reads. They hold no references to Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal["binary", "multiclass", "regression"]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The scored rows of one part: everything that a verdict needs, and nothing of the features.

    Shapes, with n rows: `key` (n,) of any type. `label` (n,): 0/1, class index or number. `score` (n,) or (n, classes):
    probability of the positive class, of each class, or the predicted number. `weight` (n,), at least 0. `cluster` (n,)
    uint64: the bootstrap draws the rows of one cluster together. `columns`: slice and group columns by their name in
    the report, each (n,) of str objects ("null" where the value is missing).
    """

    task: Task
    label_name: str = "label"
    """The label's column or expression, as the spec writes it."""
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    """A row is selected from this score on; None where no threshold was chosen."""
    key: NDArray[Any]
    label: Vector
    score: Vector
    weight: Vector
    cluster: NDArray[np.uint64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def cut(self) -> float:
        """The threshold, 0.5 where none was chosen."""
        return 0.5 if self.threshold is None else self.threshold

    @property
    def decision(self) -> NDArray[Any]:
        """What the scores mean, shape (n,): 0 or 1, the likeliest class, or the number itself."""
        return decide(self.task, self.score, self.cut, self.classes)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Predictions":
        """Some of the rows, by mask or position."""
        arrays = {name: getattr(self, name)[rows] for name in ("key", "label", "score", "weight", "cluster")}
        return replace(self, **arrays, columns={name: names[rows] for name, names in self.columns.items()})


def decide(task: Task, score: Vector, cut: float, classes: Sequence[str]) -> NDArray[Any]:
    """What scores mean, shape (n,).

    Parameters
    ----------
    task
        binary: 0 or 1; multiclass: the likeliest class; regression: the number itself.
    score
        Shape (n,) or (n, classes).
    cut
        A row of a binary task is 1 from this score on.
    classes
        The names of the classes.
    """
    if task == "binary":
        return (score >= cut).astype(np.int8)
    return np.asarray(classes)[score.argmax(axis=1)] if task == "multiclass" else np.asarray(score)


Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a careful person would notice in the data before trusting a model on it: one line of `checks.json`."""

    check: str
    severity: Severity
    column: str | None
    rows: int
    found: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric on all rows (`slice` empty) or on one slice, with its interval; not finite where undefined."""

    metric: str
    slice: Mapping[str, str]
    value: float
    low: float
    high: float
    rows: int
