"""Columns that look otherwise in validation or test than in train."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ray_pipeline.checks._base import Check, varying
from ray_pipeline.checks._numbers import LEAST_ROWS, numbers
from ray_pipeline.encodings._columns import kind_of
from ray_pipeline.spec import Spec
from ray_pipeline.stages.profile import Profile
from ray_pipeline.values import PARTS, Finding, Part, Vector

SOME, MUCH = 0.1, 0.25
BINS, TOP = 10, 20


class Drift(Check):
    """By the population stability index over ten equally filled bins of train (or the 20 commonest values), missing apart: low above 0.1, medium above 0.25.

    The thresholds are those of credit scoring (Siddiqi, 2006), raised by what the sizes of both samples make by chance.
    """

    fix: ClassVar = "expect the model to be worse there; leave out what only tells the time"

    def look(self, seen: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column: of the part where it drifts most."""
        for name in varying(seen):
            indices: list[tuple[float, Part]] = []
            for part in PARTS[1:]:
                judged = seen.judged.get(part)
                if judged is not None and min(judged.num_rows, seen.sample.num_rows) >= LEAST_ROWS:
                    index, by_chance = _stability(seen.sample[name], judged[name])
                    indices.append((index - by_chance, part))
            index, part = max(indices, default=(0.0, "test"))
            if index > SOME:
                found = f"{name} differs between train and {part} by a population stability index of {index:.2f}"
                yield self.finding("medium" if index > MUCH else "low", name, seen.parts[part], found)


def _stability(train: pa.ChunkedArray, judged: pa.ChunkedArray) -> tuple[float, float]:
    """The index, and what independent samples of these sizes have on average: (bins - 1) x (1/n + 1/m)."""
    ours, theirs = _bins(train, judged)
    used = (ours + theirs) > 0
    ours, theirs = (np.maximum(counts[used], 0.5) for counts in (ours, theirs))
    expected, found = ours / ours.sum(), theirs / theirs.sum()
    return float(((found - expected) * np.log(found / expected)).sum()), float((used.sum() - 1) * (1 / ours.sum() + 1 / theirs.sum()))


def _bins(train: pa.ChunkedArray, judged: pa.ChunkedArray) -> tuple[Vector, Vector]:
    """Rows in each bin, for both; the last bin is of missing values."""
    if kind_of(train.type) == "category":
        values, counts = np.unique(np.array(train.cast(pa.string()).drop_null().to_pylist(), object).astype(str), return_counts=True)
        top = pa.array(values[np.argsort(-counts, kind="stable")[:TOP]].tolist(), pa.string())

        def count(column: pa.ChunkedArray) -> Vector:
            code = pa.compute.index_in(column.cast(pa.string()), top, skip_nulls=True).fill_null(TOP).to_numpy().astype(int)
            code[column.is_null().to_numpy()] = TOP + 1
            return np.bincount(code, minlength=TOP + 2).astype(float)

        return count(train), count(judged)
    known = numbers(train)[np.isfinite(numbers(train))]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.zeros(0)

    def count_numbers(column: pa.ChunkedArray) -> Vector:
        values = numbers(column)
        code = np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(edges) + 1)
        return np.bincount(code, minlength=len(edges) + 2).astype(float)

    return count_numbers(train), count_numbers(judged)
