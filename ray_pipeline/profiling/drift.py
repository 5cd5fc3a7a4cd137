"""How far new rows have moved from the training rows: the population stability index of each column.

The training rows are kept as histograms, not as rows: ten equally filled bins of a number, the twenty most common
values of a text, and the missing values. The histograms go into the registry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import as_declared, kind_of

BINS, MAX_VALUES = 10, 20
LOW, MEDIUM = 0.1, 0.25
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """The bins of one column, and the training rows in each; the last bin holds the missing values."""

    edges: tuple[float, ...] = ()
    """The inner edges of the bins of a number or time, ascending."""
    values: tuple[str, ...] = ()
    """The values of a category that have a bin each; one more bin holds all others."""
    counts: tuple[int, ...] = ()

    def count(self, column: pa.ChunkedArray) -> Counts:
        """The rows of a column in each bin; shape (bins,)."""
        if self.values:
            values = pa.array(self.values, pa.string())
            texts = as_declared("", column, "category").cast(pa.string())
            code = pc.fill_null(pc.index_in(texts, values, skip_nulls=True), len(values)).to_numpy()
            code = np.where(column.is_null().to_numpy(), len(values) + 1, code)
            return np.bincount(code, minlength=len(values) + 2)
        numbers = _numbers(as_declared("", column, "number"))
        code = np.where(np.isfinite(numbers), np.searchsorted(self.edges, numbers, side="right"), len(self.edges) + 1)
        return np.bincount(code, minlength=len(self.edges) + 2)


def histograms(sample: pa.Table, columns: Iterable[str]) -> dict[str, Histogram]:
    """The histogram of each column of a sample of training rows."""
    filled = {}
    for name in columns:
        bins = _bins(sample[name])
        counts = tuple(bins.count(sample[name]).tolist())
        filled[name] = Histogram(edges=bins.edges, values=bins.values, counts=counts)
    return filled


def column_drift(known: Mapping[str, Histogram], counts: Mapping[str, Counts]) -> list[dict[str, Any]]:
    """The drift of every column, the largest first.

    Parameters
    ----------
    known
        The histograms of the training rows.
    counts
        The new rows in each bin, by column; each of shape (bins,).

    Returns
    -------
    list of dict
        `column`; `psi`, the population stability index; `index`, what of it is beyond chance; and `severity`, by
        `index`: `low` above 0.1, `medium` above 0.25, else None.
    """
    rows = []
    for name, histogram in known.items():
        psi, chance = stability(np.asarray(histogram.counts), counts[name])
        index = max(0.0, psi - chance)
        severity = "medium" if index > MEDIUM else "low" if index > LOW else None
        rows.append({"column": name, "psi": round(psi, 4), "index": round(index, 4), "severity": severity})
    return sorted(rows, key=lambda row: (-row["index"], row["column"]))


def drift_by_part(known: Mapping[str, Histogram], samples: Mapping[str, pa.Table]) -> dict[str, list[dict[str, Any]]]:
    """The drift from the training rows to a sample of each other part, as in `drift.json`."""
    return {
        part: column_drift(known, {name: histogram.count(rows[name]) for name, histogram in known.items()})
        for part, rows in samples.items()
        if rows.num_rows
    }


def described(row: Mapping[str, Any]) -> str:
    """A row of `column_drift` in words.

    Examples
    --------
    >>> described({"column": "age", "psi": 0.312, "index": 0.27, "severity": "medium"})
    'a population stability index of 0.31, 0.27 of it beyond chance'
    """
    return f"a population stability index of {row['psi']:.2f}, {row['index']:.2f} of it beyond chance"


def stability(train: Counts, new: Counts) -> tuple[float, float]:
    """The population stability index (Siddiqi, 2006), and what two samples of these sizes show of it by chance.

    The index is the sum of (q - p) log(q / p) over the bins; its mean for independent samples is
    (bins - 1) x (1/n + 1/m). A bin without rows in one sample counts half a row there.

    Parameters
    ----------
    train, new
        Rows in each bin; shape (bins,).

    Returns
    -------
    tuple of two floats
        Both at least 0.

    Examples
    --------
    >>> index, chance = stability(np.array([500, 500]), np.array([800, 200]))
    >>> round(index, 3), chance
    (0.416, 0.002)
    """
    used = train + new > 0
    ours, theirs = (np.maximum(counts[used], 0.5) for counts in (train, new))
    p, q = ours / ours.sum(), theirs / theirs.sum()
    index = float(((q - p) * np.log(q / p)).sum())
    return index, float((used.sum() - 1) * (1 / ours.sum() + 1 / theirs.sum()))


def to_json(known: Mapping[str, Histogram]) -> dict[str, Any]:
    """The object of `training.json`."""
    columns = {name: {"edges": one.edges, "values": one.values, "counts": one.counts} for name, one in known.items()}
    return {"format": 1, "columns": columns}


def from_json(training: Mapping[str, Any]) -> dict[str, Histogram]:
    """The histograms that `to_json` wrote."""
    return {
        name: Histogram(edges=tuple(one["edges"]), values=tuple(one["values"]), counts=tuple(one["counts"]))
        for name, one in training["columns"].items()
    }


def _bins(column: pa.ChunkedArray) -> Histogram:
    """The bins of a column, still without counts."""
    if kind_of(column.type) == "category":
        counted = pc.value_counts(column.cast(pa.string()).drop_null()).to_pylist()
        common = sorted(counted, key=lambda entry: (-entry["counts"], entry["values"]))[:MAX_VALUES]
        return Histogram(values=tuple(entry["values"] for entry in common) or ("",))
    numbers = _numbers(column)
    finite = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(finite, np.arange(1, BINS) / BINS)) if len(finite) else np.empty(0)
    return Histogram(edges=tuple(edges.tolist()))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The column as float64, times in microseconds; shape (rows,)."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    numbers: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return numbers
