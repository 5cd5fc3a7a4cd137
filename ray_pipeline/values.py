"""Values that stages pass on: frozen and typed, without references to objects of Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.prediction_regions import Regions

Task = Literal["binary", "multiclass", "regression"]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
INTERNAL = "\0"
"""The first character of the columns that are added to a block; no column that is read has it in its name."""


def users_names(columns: Sequence[str]) -> list[str]:
    """Return the names of the columns that were not added to a block.

    >>> users_names(["x1", INTERNAL + "key"])
    ['x1']
    """
    return [name for name in columns if not name.startswith(INTERNAL)]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The scored rows of one part: everything that a verdict needs, without the features. There are n rows."""

    task: Task
    label_name: str = "label"
    """The label's column or expression, as the spec writes it."""
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    """A row is selected from this score on; None where no threshold was chosen."""
    key: NDArray[Any]
    """Shape (n,)."""
    label: Vector
    """Shape (n,): 0 or 1, the index of the class, or a number."""
    score: Vector
    """Shape (n,), or (n, classes) for multiclass: probabilities, or the predicted numbers."""
    weight: Vector
    """Shape (n,), at least 0."""
    cluster: NDArray[np.uint64]
    """Shape (n,): in a draw of the bootstrap the rows of one cluster have the same weight."""
    regions: Regions | None = None
    """The interval or set of each row; None where the spec asks for none."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Slice and group columns by their names in the report, each (n,) of str; "null" for a missing value."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def cut(self) -> float:
        """The threshold; 0.5 where none was chosen."""
        return 0.5 if self.threshold is None else self.threshold

    @property
    def decision(self) -> NDArray[Any]:
        """The decision for each row, shape (n,): 0 or 1, the most probable class, or the number itself."""
        return decide(self.task, self.score, self.cut, self.classes)

    @property
    def measures(self) -> Vector:
        """`Regions.measures`, shape (n, 2); NaN where there are no regions."""
        return np.full((len(self), 2), np.nan) if self.regions is None else self.regions.measures(self.label)

    def scores_for(self, metric: Any) -> Vector:
        """Return what a metric takes as scores: the scores; or for a metric of intervals or sets their measures."""
        return self.measures if metric.of_regions else self.score

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Predictions":
        """Return some of the rows, by mask, by position, or a range of them, which is a view."""
        arrays = {name: getattr(self, name)[rows] for name in ("key", "label", "score", "weight", "cluster")}
        regions = None if self.regions is None else self.regions.take(rows)
        columns = {name: names[rows] for name, names in self.columns.items()}
        return replace(self, **arrays, regions=regions, columns=columns)


def decide(task: Task, score: Vector, cut: float, classes: Sequence[str]) -> NDArray[Any]:
    """Return the decisions that scores stand for.

    Parameters
    ----------
    task
        The task of the model.
    score
        Shape (n,), or (n, classes) for multiclass.
    cut
        A row of a binary task is 1 from this score on.
    classes
        The names of the classes; used for multiclass only.

    Returns
    -------
    ndarray
        Shape (n,). Binary: 0 or 1; multiclass: the most probable class; regression: the number itself.
    """
    if task == "binary":
        return (score >= cut).astype(np.int8)
    return np.asarray(classes)[score.argmax(axis=1)] if task == "multiclass" else np.asarray(score)


def score_columns(score: NDArray[Any], classes: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return scores as columns of a table: `score`, or `score_<class>` for each class."""
    if score.ndim == 1:
        return {"score": score}
    return {f"score_{name}": score[:, place] for place, name in enumerate(classes)}


Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something in the data that may harm a model: one line of `checks.json`."""

    check: str
    severity: Severity
    column: str | None
    rows: int
    found: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric with its interval on one slice, or on all rows (`slice` is empty); NaN where it is undefined."""

    metric: str
    slice: Mapping[str, str]
    value: float
    low: float
    high: float
    rows: int
