"""Columns of the sample as numbers, and how well one column alone predicts the label."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.data.rows import LABEL
from ray_pipeline.values import Task, Vector

MIN_ROWS = 100
BINS = 50
NEAR_COPY = 0.9


def numbers(values: pa.ChunkedArray) -> Vector:
    """A number or time column as float64 (times in microseconds), NaN where it is missing; shape (rows,)."""
    if kind_of(values.type) == "time":
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    number: Vector = values.cast(pa.float64(), safe=False).to_numpy()
    return number


def codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Each value as a small number from 0 on, a missing one like any other value; shape (rows,)."""
    if kind_of(values.type) == "category":
        encoded = values.cast(pa.large_string()).combine_chunks().dictionary_encode("encode")
        return np.asarray(encoded.indices.to_numpy(), np.int64)
    return np.unique(numbers(values), return_inverse=True)[1].astype(np.int64)


def as_quantity(values: pa.ChunkedArray, label: Vector) -> Vector:
    """A column as numbers: a category becomes its mean label.

    Parameters
    ----------
    values
        A column of the sample; shape (rows,).
    label
        Shape (rows,).

    Returns
    -------
    Vector
        Shape (rows,). The mean of a category is over the other half of the sample, so that a rare value does not
        predict itself.
    """
    if kind_of(values.type) != "category":
        return numbers(values)
    code, half, means = codes(values), np.arange(len(values)) % 2, np.full(len(values), label.mean())
    for this in (0, 1):
        other = half != this
        total = np.bincount(code[other], label[other], code.max() + 1)
        count = np.bincount(code[other], minlength=code.max() + 1)
        with np.errstate(invalid="ignore"):
            mean = np.where(count > 0, total / count, label.mean())
        means[half == this] = mean[code[half == this]]
    return means


def strength(values: Vector, label: Vector, task: Task) -> float:
    """How well a number alone predicts the label.

    Parameters
    ----------
    values, label
        Shape (rows,).
    task
        `binary` or `regression`.

    Returns
    -------
    float
        In [0, 1]: the AUC, in the better direction, or the absolute rank correlation (Spearman). 0 if there are fewer
        than `MIN_ROWS` rows or one of both is constant.
    """
    if len(label) < MIN_ROWS or values.min() == values.max() or label.min() == label.max():
        return 0.0
    ranks = _ranks(values)
    if task == "binary":
        positives = label == 1
        num_positives, num_negatives = positives.sum(), (~positives).sum()
        # pairs that a positive wins, ties one half (Mann & Whitney, 1947)
        pairs_won = ranks[positives].sum() - num_positives * (num_positives + 1) / 2
        area = float(pairs_won / (num_positives * num_negatives))
        return max(area, 1 - area)
    return abs(float(np.corrcoef(ranks, _ranks(label))[0, 1]))


def cross_accuracy(values: pa.ChunkedArray, label: NDArray[np.int64]) -> tuple[float, float]:
    """How often the most common class of a row's value is the row's class.

    Parameters
    ----------
    values
        A column of the sample; shape (rows,). A number with many values is cut into `BINS` bins.
    label
        The class of each row, from 0 on; shape (rows,).

    Returns
    -------
    tuple of two floats in [0, 1]
        The accuracy, where the most common class is that of the other half of the sample; and the share of the most
        common class of all rows.
    """
    code = codes(values)
    if kind_of(values.type) != "category" and code.max() >= BINS:
        edges = np.nanquantile(numbers(values), np.arange(1, BINS) / BINS)
        code = np.searchsorted(edges, numbers(values))
    half, correct = np.arange(len(code)) % 2, 0
    for this in (0, 1):
        table = np.zeros((code.max() + 1, label.max() + 1), np.int64)
        np.add.at(table, (code[half != this], label[half != this]), 1)
        correct += int((table.argmax(1)[code[half == this]] == label[half == this]).sum())
    return correct / len(code), float(np.bincount(label).max() / len(label))


def power(values: pa.ChunkedArray, label: pa.ChunkedArray, task: Task) -> float:
    """How well a column alone predicts the label.

    Parameters
    ----------
    values, label
        Rows of the sample in which the column is not missing; shape (rows,).
    task
        What the label is.

    Returns
    -------
    float
        In [0, 1]: see `strength`; for many classes the accuracy of `cross_accuracy`, or 0 if it makes more than a tenth
        of the errors of the most common class: anything predicts a class that nearly all rows have.
    """
    if len(label) < MIN_ROWS:
        return 0.0
    if task != "multiclass":
        outcome = label.to_numpy()
        return strength(as_quantity(values, outcome), outcome, task)
    accuracy, base = cross_accuracy(values, codes(label))
    return accuracy if 1 - accuracy < (1 - base) / 10 else 0.0


def is_copy(values: pa.ChunkedArray, label: pa.ChunkedArray, task: Task) -> bool:
    """Whether a column goes one to one with the label, and for a number in rising or falling order.

    Parameters
    ----------
    values, label
        Rows of the sample in which the column is not missing; shape (rows,).
    task
        What the label is.
    """
    if len(label) < MIN_ROWS:
        return False
    ours, theirs = codes(values), codes(label)
    if theirs.max() == 0 or not (determines(ours, theirs) and determines(theirs, ours)):
        return False
    if task != "regression":
        return True
    return kind_of(values.type) != "category" and strength(numbers(values), label.to_numpy(), task) > 1 - 1e-9


def is_near_copy(values: pa.ChunkedArray, label: pa.ChunkedArray) -> bool:
    """Whether a category has the label's classes, three or more under any names, in nearly all rows.

    Parameters
    ----------
    values, label
        Rows of the sample in which the column is not missing; shape (rows,).
    """
    if len(label) < MIN_ROWS:
        return False
    ours, theirs = codes(values), codes(label)
    classes = theirs.max() + 1
    if classes < 3 or ours.max() + 1 != classes:
        return False
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (ours, theirs), 1)
    return len(set(table.argmax(1))) == classes and bool((table.max(1) >= NEAR_COPY * table.sum(1)).all())


def label_copies(sample: pa.Table, names: Iterable[str], task: Task) -> set[str]:
    """The columns whose values, or whose missing values, go one to one with the label; see `is_copy`."""
    label, copies = sample[LABEL], set[str]()
    for name in names:
        missing = pc.is_null(sample[name], nan_is_null=True)
        known = pc.invert(missing)
        if is_copy(sample[name].filter(known), label.filter(known), task) or is_copy(missing.cast("int8"), label, task):
            copies.add(name)
    return copies


def determines(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether each value of the one goes with a single value of the other; both are codes of shape (rows,)."""
    first = np.full(one.max() + 1, -1)
    first[one[::-1]] = other[::-1]
    return bool((first[one] == other).all())


def _ranks(values: Vector) -> Vector:
    """Ranks from 1 on, equal values share the mean of theirs; shape (rows,)."""
    order = np.argsort(values, kind="stable")
    rising = values[order]
    first = np.concatenate([[True], rising[1:] != rising[:-1]])
    bounds = np.append(np.flatnonzero(first), len(values))
    mean = (bounds[:-1] + bounds[1:] + 1) / 2
    ranks = np.empty(len(values))
    ranks[order] = mean[np.cumsum(first) - 1]
    return ranks
