"""Prediction intervals of numbers and prediction sets of classes, and what is measured of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Regions:
    """An interval or a set for each of n rows."""

    values: NDArray[Any]
    """Intervals: float64 of shape (n, 2), the lower and the upper end. Sets: bool of shape (n, classes), the members.
    """

    @property
    def are_sets(self) -> bool:
        """Whether they are sets of classes."""
        return bool(self.values.dtype == np.bool_)

    def measures(self, label: Vector) -> Vector:
        """Return what metrics of regions are means of.

        Parameters
        ----------
        label
            A number, or the index of a class; shape (n,).

        Returns
        -------
        ndarray
            Shape (n, 2): 1 where the region holds the label, else 0; and the width of the interval, or the number of
            classes in the set.
        """
        if self.are_sets:
            inside, size = self.values[np.arange(len(label)), label.astype(int)], self.values.sum(1)
        else:
            low, high = self.values.T
            inside, size = (low <= label) & (label <= high), high - low
        return np.column_stack([inside, size]).astype(np.float64)

    def columns(self, classes: Sequence[str] | None) -> dict[str, Any]:
        """Return the columns of a table: `low` and `high`; or `set`, a list of classes for each row.

        Parameters
        ----------
        classes
            The names of the classes; None where they are 0 and 1.
        """
        if not self.are_sets:
            return {"low": self.values[:, 0], "high": self.values[:, 1]}
        ends = pa.array(np.append(0, self.values.sum(1).cumsum()), pa.int32())
        place = np.nonzero(self.values)[1]
        members = pa.array(place, pa.int8()) if classes is None else pa.array(np.asarray(classes)[place], pa.string())
        return {"set": pa.ListArray.from_arrays(ends, members)}

    def take(self, rows: NDArray[Any] | slice) -> "Regions":
        """Return those of some rows, by mask, by position, or of a range."""
        return Regions(values=self.values[rows])


def class_scores(task: str, score: Vector) -> Vector:
    """Return the probability of each class, shape (n, classes), also of a binary task; numbers as they are."""
    return np.column_stack([1 - score, score]) if task == "binary" else score
