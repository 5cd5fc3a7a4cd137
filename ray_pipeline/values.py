"""What a stage leaves behind: frozen, typed values that the next stage reads. No behaviour beyond looking at them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal["binary", "multiclass", "regression"]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Predictions:
    """The scored rows of one part, everything that a verdict needs and nothing of the features.

    Shapes, with n rows: `key` (n,) of any type, `label` (n,): 0/1, class index or number; `score` (n,) or (n, classes):
    probability of the positive class, of each class, or the predicted number; `weight` (n,) >= 0; `cluster` (n,)
    uint64: rows of one cluster are drawn together by the bootstrap; `columns`: slice and group columns by their
    name in the report, each (n,) of str objects ("null" where the value is missing).
    """

    task: Task
    classes: tuple[str, ...]
    key: NDArray[Any]
    label: Vector
    score: Vector
    weight: Vector
    cluster: NDArray[np.uint64]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.label)


Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")


@dataclass(frozen=True)
class Finding:
    """What a careful person would notice in the data before trusting a model on it: one line of `checks.json`."""

    check: str
    severity: Severity
    column: str | None
    rows: int
    found: str
    fix: str


@dataclass(frozen=True)
class Measured:
    """A metric on all rows (`slice` empty) or on one slice, with its interval; not finite where undefined."""

    metric: str
    slice: Mapping[str, str]
    value: float
    low: float
    high: float
    rows: int
