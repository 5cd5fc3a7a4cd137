"""Weak slices: among all values of one and of two columns, where the model is worse than on the whole part.

Every slice of enough rows is compared with the whole by the linearized variance of their difference (a slice is part of
the whole, so the two move together). Of the p-values the procedure of Benjamini & Hochberg (1995) keeps those of which
at most `FALSE_DISCOVERY_RATE` are expected to be luck. It is like SliceFinder (Chung, 2019), but on the metric itself
instead of each row's loss, so that rows that are hard for every model do not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Metric
from ray_pipeline.evaluation.groups import groups_of
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.values import Predictions, Vector

FALSE_DISCOVERY_RATE = 0.05
MAX_ROWS = (
    500_000  # of more, every second, third ... is looked at: the search reads the rows once for every pair of columns
)
MAX_COLUMNS = 20
MAX_SHOWN = 20
MIN_OF_CLASS = 20  # rows of either class: below, the variance of a rate says too little for p-values this small


@dataclass(frozen=True)
class WeakSlice:
    """A slice that is worse than the whole part: its value with an interval, how much worse (`difference`, as value
    less whole), and the p-value of that."""

    metric: str
    slice: Mapping[str, str]
    value: float
    low: float
    high: float
    rows: int
    difference: float
    p: float


@dataclass(frozen=True)
class WeakSlices:
    """The weak slices, the surest first, and what was looked at: `searched` slices of `columns`, on `rows` rows."""

    found: tuple[WeakSlice, ...]
    searched: int
    columns: tuple[str, ...]
    rows: int


def search_weak_slices(metric: Metric, rows: Predictions, *, min_rows: int, confidence: float) -> WeakSlices:
    """Every slice of at least `min_rows` rows over one and two of the rows' columns, tested."""
    if len(rows) > MAX_ROWS:
        rows = rows.take(np.arange(0, len(rows), -(-len(rows) // MAX_ROWS)))
    columns = tuple(column for column in rows.columns if (groups_of(rows, [column]).sizes >= min_rows).any())[
        :MAX_COLUMNS
    ]
    tested: list[WeakSlice] = []
    if columns and metric.objective and len(rows) > min_rows:
        whole = _Whole.of(metric, rows)
        for by in (*((column,) for column in columns), *combinations(columns, 2)):
            tested += _tested(whole, rows, by, min_rows, confidence)
    kept = [one for one in tested if one.p <= _bar(np.array([one.p for one in tested]))]
    return WeakSlices(
        tuple(_explained(metric, rows, kept, min_rows, confidence)[:MAX_SHOWN]),
        len(tested),
        columns,
        len(rows),
    )


@dataclass(frozen=True)
class _Whole:
    """The metric on all rows: its value, and what each row's cluster moves it by, (n,)."""

    metric: Metric
    value: float
    of_cluster: Vector
    variance: float

    @classmethod
    def of(cls, metric: Metric, rows: Predictions) -> "_Whole":
        member = np.unique(rows.cluster, return_inverse=True)[1]
        moved = np.bincount(member, metric.influence(rows.label, rows.score, rows.weight, rows.cut)).astype(np.float64)
        return cls(metric, metric(rows.label, rows.score, rows.weight, rows.cut), moved[member], float(moved @ moved))


def _tested(whole: _Whole, rows: Predictions, by: Sequence[str], min_rows: int, confidence: float) -> list[WeakSlice]:
    """Every slice by these columns that can be judged, with its p-value: of being no worse than the whole."""
    from scipy.special import stdtr

    groups = groups_of(rows, by)
    large = groups.largest(len(groups.names), min_rows)
    large = large[groups.sizes[large] < len(rows)]
    if not len(large):
        return []
    kept = np.isin(groups.of, large)
    some, of = rows.take(kept), np.searchsorted(large, groups.of[kept])
    found = linearized_bounds([whole.metric], some, of, confidence, whole.of_cluster[kept])[whole.metric.name]
    variance = found.variance - 2 * found.covariance + whole.variance
    difference = found.value - whole.value
    worse = -difference if whole.metric.better == "higher" else difference
    with np.errstate(all="ignore"):
        p = stdtr(np.maximum(found.clusters - 1, 1), -worse / np.sqrt(variance))
    able = np.isfinite(found.value) & (variance > 0) & (found.clusters > 2) & _of_every_class(some, of, len(large))
    return [
        WeakSlice(
            whole.metric.name,
            groups.names[number],
            float(found.value[place]),
            float(found.low[place]),
            float(found.high[place]),
            int(groups.sizes[number]),
            float(difference[place]),
            float(p[place]),
        )
        for place, number in enumerate(large)
        if able[place]
    ]


def _of_every_class(rows: Predictions, of: NDArray[np.intp], groups: int) -> NDArray[np.bool_]:
    if rows.task != "binary":
        return np.ones(groups, bool)
    positives = np.bincount(of, rows.label, groups)
    return np.asarray(np.minimum(positives, np.bincount(of, minlength=groups) - positives) >= MIN_OF_CLASS)


def _bar(p: Vector) -> float:
    """The largest p-value that Benjamini & Hochberg's procedure keeps; -1 where it keeps none."""
    ordered = np.sort(p)
    passing = ordered[ordered <= FALSE_DISCOVERY_RATE * np.arange(1, len(p) + 1) / max(len(p), 1)]
    return float(passing[-1]) if len(passing) else -1.0


def _explained(
    metric: Metric,
    rows: Predictions,
    weak: Sequence[WeakSlice],
    min_rows: int,
    confidence: float,
) -> list[WeakSlice]:
    """Without those that only share the rows of a surer one: a slice stays if it is still worse on the rows that no
    surer one has."""
    taken = np.zeros(len(rows), bool)
    kept = []
    for one in sorted(weak, key=lambda found: (found.p, len(found.slice), tuple(found.slice.values()))):
        inside = np.ones(len(rows), bool)
        for column, name in one.slice.items():
            inside &= rows.columns[column] == name
        left = inside & ~taken
        if left.sum() < inside.sum():
            rest = rows.take(~taken)
            again = left.sum() >= min_rows and [
                found
                for found in _tested(_Whole.of(metric, rest), rest, tuple(one.slice), min_rows, confidence)
                if found.slice == one.slice
            ]
            if not again or again[0].p > FALSE_DISCOVERY_RATE / max(len(weak), 1):
                continue
        kept.append(one)
        taken |= inside
    return kept
