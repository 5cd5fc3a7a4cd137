"""Columns of the sample as numbers, and how strongly one number tells a label: what several checks reckon with."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.values import Task, Vector

MIN_ROWS = 100
BINS = 50


def numbers(values: pa.ChunkedArray) -> Vector:
    """A number or time column as float64 (times in microseconds), NaN where it is missing; shape (n,)."""
    if kind_of(values.type) == "time":
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    found: Vector = values.cast(pa.float64(), safe=False).to_numpy()
    return found


def codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Each value as a small number by first occurrence, a missing one like any other value; shape (n,)."""
    if kind_of(values.type) == "category":
        encoded = values.cast(pa.large_string()).combine_chunks().dictionary_encode("encode")
        return np.asarray(encoded.indices.to_numpy(), np.int64)
    return np.unique(numbers(values), return_inverse=True)[1].astype(np.int64)


def as_quantity(values: pa.ChunkedArray, label: Vector) -> Vector:
    """Numbers as they are; categories as the label's mean over the other half of the sample (so that a rare value does
    not predict itself)."""
    if kind_of(values.type) != "category":
        return numbers(values)
    code, half, means = codes(values), np.arange(len(values)) % 2, np.full(len(values), label.mean())
    for this in (0, 1):
        other = half != this
        total, count = (
            np.bincount(code[other], label[other], code.max() + 1),
            np.bincount(code[other], minlength=code.max() + 1),
        )
        with np.errstate(invalid="ignore"):
            mean = np.where(count > 0, total / count, label.mean())
        means[half == this] = mean[code[half == this]]
    return means


def strength(values: Vector, label: Vector, task: Task) -> float:
    """How well a number alone tells the label, from 0 to 1: AUC (either way round), or rank correlation for a number; 0
    where too little is known."""
    if len(label) < MIN_ROWS or values.min() == values.max() or label.min() == label.max():
        return 0.0
    ranks = _ranks(values)
    if task == "binary":
        positives = label == 1
        above = (
            ranks[positives].sum() - positives.sum() * (positives.sum() + 1) / 2
        )  # pairs won, ties one half (Mann & Whitney, 1947)
        area = float(above / (positives.sum() * (~positives).sum()))
        return max(area, 1 - area)
    return abs(float(np.corrcoef(ranks, _ranks(label))[0, 1]))  # Spearman's


def _ranks(values: Vector) -> Vector:
    """Ranks from 1 on, equal values sharing the middle of theirs; shape (n,)."""
    order = np.argsort(values, kind="stable")
    rising = values[order]
    first = np.concatenate([[True], rising[1:] != rising[:-1]])
    bounds = np.append(np.flatnonzero(first), len(values))
    middle = (bounds[:-1] + bounds[1:] + 1) / 2
    ranks = np.empty(len(values))
    ranks[order] = middle[np.cumsum(first) - 1]
    return ranks


def told_share(values: pa.ChunkedArray, label: NDArray[np.int64]) -> tuple[float, float]:
    """The share of rows whose class is the most common one of their value in the other half of the sample; and the
    share of the commonest class."""
    code = codes(values)
    if kind_of(values.type) != "category" and code.max() >= BINS:
        edges = np.nanquantile(numbers(values), np.arange(1, BINS) / BINS)
        code = np.searchsorted(edges, numbers(values))
    half, told = np.arange(len(code)) % 2, 0
    for this in (0, 1):
        table = np.zeros((code.max() + 1, label.max() + 1), np.int64)
        np.add.at(table, (code[half != this], label[half != this]), 1)
        told += int((table.argmax(1)[code[half == this]] == label[half == this]).sum())
    return told / len(code), float(np.bincount(label).max() / len(label))
