"""How far new rows have moved from the training rows: the population stability index of each column, from a profile
that goes into the registry.

The profile holds shares, not rows: ten equally filled bins of a number, the twenty commonest values of a text, and what
is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import kind_of

BINS, TOP = 10, 20
LOW, MEDIUM = 0.1, 0.25
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Of one column: where its bins are, and how many training rows were in each; the last bin is of missing values."""

    edges: tuple[float, ...]
    values: tuple[str, ...]
    counts: tuple[int, ...] = ()

    def count(self, column: pa.ChunkedArray) -> Counts:
        """Rows in each bin; shape (bins,)."""
        if self.values:
            code = pc.fill_null(
                pc.index_in(column.cast(pa.string()), pa.array(self.values, pa.string()), skip_nulls=True),
                len(self.values),
            ).to_numpy()
            code = np.where(column.is_null().to_numpy(), len(self.values) + 1, code)
            return np.bincount(code, minlength=len(self.values) + 2)
        numbers = _numbers(column)
        code = np.where(np.isfinite(numbers), np.searchsorted(self.edges, numbers, side="right"), len(self.edges) + 1)
        return np.bincount(code, minlength=len(self.edges) + 2)


def shapes(sample: pa.Table, columns: Iterable[str]) -> dict[str, Shape]:
    """The shape of each column of a sample of training rows."""
    found = {}
    for name in columns:
        column = sample[name]
        if kind_of(column.type) == "category":
            counts = pc.value_counts(column.cast(pa.string()).drop_null()).to_pylist()
            values = tuple(
                entry["values"] for entry in sorted(counts, key=lambda entry: (-entry["counts"], entry["values"]))[:TOP]
            ) or ("",)
            empty = Shape((), values)
        else:
            numbers = _numbers(column)
            finite = numbers[np.isfinite(numbers)]
            empty = Shape(
                tuple(np.unique(np.quantile(finite, np.arange(1, BINS) / BINS)).tolist()) if len(finite) else (), ()
            )
        found[name] = Shape(empty.edges, empty.values, tuple(empty.count(column).tolist()))
    return found


def drift(known: Mapping[str, Shape], counts: Mapping[str, Counts]) -> list[dict[str, Any]]:
    """Of every column, furthest first: `index`, less what samples of these sizes have by chance, and `severity` (low
    above 0.1, medium above 0.25)."""
    told = []
    for name, shape in known.items():
        index = stability(np.asarray(shape.counts), counts[name])
        told.append(
            {
                "column": name,
                "index": round(index, 4),
                "severity": "medium" if index > MEDIUM else "low" if index > LOW else None,
            }
        )
    return sorted(told, key=lambda row: (-row["index"], row["column"]))


def drift_by_part(known: Mapping[str, Shape], judged: Mapping[str, pa.Table]) -> dict[str, list[dict[str, Any]]]:
    """The drift from the training rows of a sample of each other part, as `drift.json` has it."""
    return {
        part: drift(known, {name: shape.count(rows[name]) for name, shape in known.items()})
        for part, rows in judged.items()
        if rows.num_rows
    }


def stability(train: Counts, new: Counts) -> float:
    """The population stability index, sum of (q - p) log(q / p), less its mean for independent samples, (bins - 1) x
    (1/n + 1/m); not below 0 (Siddiqi, 2006)."""
    used = train + new > 0
    ours, theirs = (np.maximum(counts[used], 0.5) for counts in (train, new))
    expected, found = ours / ours.sum(), theirs / theirs.sum()
    index = float(((found - expected) * np.log(found / expected)).sum())
    return max(0.0, index - float((used.sum() - 1) * (1 / ours.sum() + 1 / theirs.sum())))


def to_json(known: Mapping[str, Shape]) -> dict[str, Any]:
    """As `training.json` has it."""
    return {
        "format": 1,
        "columns": {
            name: {"edges": shape.edges, "values": shape.values, "counts": shape.counts}
            for name, shape in known.items()
        },
    }


def from_json(told: Mapping[str, Any]) -> dict[str, Shape]:
    """The shapes that `to_json` wrote."""
    return {
        name: Shape(tuple(shape["edges"]), tuple(shape["values"]), tuple(shape["counts"]))
        for name, shape in told["columns"].items()
    }


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    numbers: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return numbers
