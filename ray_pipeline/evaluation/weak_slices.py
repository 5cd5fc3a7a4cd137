"""Weak slices: among all values of one and of two columns, where the model is worse than on the whole part.

Every slice of enough rows is compared with the whole by the linearized variance of their difference, which includes
their covariance. The procedure of Benjamini & Hochberg (1995) then selects slices such that at most a share of
`FALSE_DISCOVERY_RATE` of them is expected to be luck. It is like SliceFinder (Chung, 2019), but it tests the metric
itself instead of the loss of each row: rows that are hard for every model do not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from ray_pipeline.components.metrics._base import Metric
from ray_pipeline.evaluation.groups import groups_of
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.hashing import drawn_places
from ray_pipeline.values import Measured, Predictions, Vector

FALSE_DISCOVERY_RATE = 0.05
MAX_ROWS = 500_000
"""Of more rows about so many are drawn: the search reads the rows once for every pair of columns."""
MAX_COLUMNS, MAX_SHOWN = 20, 20
MIN_CLASS_ROWS = 20
"""Of either class: with fewer, the variance of a rate is too rough for such small p-values."""


@dataclass(frozen=True, kw_only=True)
class WeakSlice(Measured):
    """A slice that is worse than the whole part."""

    difference: float
    """The value of the slice minus that of the whole part."""
    p: float
    """The p-value of the slice being no worse than the whole part."""


@dataclass(frozen=True, kw_only=True)
class WeakSlices:
    """The weak slices, smallest p-value first; `searched` slices of `columns` were tested, on `rows` rows."""

    found: tuple[WeakSlice, ...]
    searched: int
    columns: tuple[str, ...]
    rows: int


def search_weak_slices(metric: Metric, rows: Predictions, *, min_rows: int, confidence: float) -> WeakSlices:
    """Test every slice of one and of two columns of the rows.

    Parameters
    ----------
    metric
        The metric that slices are compared by.
    rows
        Scored rows with their slice columns.
    min_rows
        Smaller slices are not tested.
    confidence
        The confidence of the slices' own intervals, in (0, 1).
    """
    if len(rows) > MAX_ROWS:
        rows = rows.take(drawn_places(len(rows), MAX_ROWS))
    usable = (column for column in rows.columns if (groups_of(rows, [column]).sizes >= min_rows).any())
    columns = tuple(islice(usable, MAX_COLUMNS))
    tested: list[WeakSlice] = []
    if columns and metric.objective and len(rows) > min_rows:
        whole = _Whole(metric, rows)
        for by in (*((column,) for column in columns), *combinations(columns, 2)):
            tested += _tested(whole, rows, by, min_rows, confidence)
    largest_p = _largest_p(np.array([one.p for one in tested]))
    weak = [one for one in tested if one.p <= largest_p]
    found = tuple(_without_overlaps(metric, rows, weak, min_rows, confidence)[:MAX_SHOWN])
    return WeakSlices(found=found, searched=len(tested), columns=columns, rows=len(rows))


class _Whole:
    """The metric on all rows: its value, its variance, and the influence of each row's cluster on it, (n,)."""

    def __init__(self, metric: Metric, rows: Predictions) -> None:
        self.metric, self.value = metric, metric(rows.label, rows.score, rows.weight, rows.cut)
        cluster = np.unique(rows.cluster, return_inverse=True)[1]
        of_row = metric.influence(rows.label, rows.score, rows.weight, rows.cut)
        influence: Vector = np.bincount(cluster, of_row).astype(np.float64)
        self.influence, self.variance = influence[cluster], float(influence @ influence)


def _tested(whole: _Whole, rows: Predictions, by: Sequence[str], min_rows: int, confidence: float) -> list[WeakSlice]:
    """Every slice by these columns that can be tested, with its p-value."""
    from scipy.special import stdtr

    groups = groups_of(rows, by)
    large = groups.largest(len(groups.names), min_rows)
    large = large[groups.sizes[large] < len(rows)]
    if not len(large):
        return []
    kept = np.isin(groups.of, large)
    rows, of = rows.take(kept), np.searchsorted(large, groups.of[kept])
    bounds = linearized_bounds([whole.metric], rows, of, confidence, whole.influence[kept])[whole.metric.name]
    variance = bounds.variance - 2 * bounds.covariance + whole.variance
    difference = bounds.value - whole.value
    worse = -difference if whole.metric.better == "higher" else difference
    with np.errstate(all="ignore"):
        p = stdtr(np.maximum(bounds.clusters - 1, 1), -worse / np.sqrt(variance))
    testable = np.isfinite(bounds.value) & (variance > 0) & (bounds.clusters > 2)
    if rows.task == "binary":
        positives = np.bincount(of, rows.label, len(large))
        testable &= np.minimum(positives, np.bincount(of, minlength=len(large)) - positives) >= MIN_CLASS_ROWS
    return [
        WeakSlice(
            metric=whole.metric.name,
            slice=groups.names[number],
            value=float(bounds.value[place]),
            low=float(bounds.low[place]),
            high=float(bounds.high[place]),
            rows=int(groups.sizes[number]),
            difference=float(difference[place]),
            p=float(p[place]),
        )
        for place, number in enumerate(large)
        if testable[place]
    ]


def _largest_p(p: Vector) -> float:
    """The largest p-value that Benjamini & Hochberg's procedure keeps; -1 where it keeps none."""
    ordered = np.sort(p)
    passing = ordered[ordered <= FALSE_DISCOVERY_RATE * np.arange(1, len(p) + 1) / max(len(p), 1)]
    return float(passing[-1]) if len(passing) else -1.0


def _without_overlaps(
    metric: Metric, rows: Predictions, weak: Sequence[WeakSlice], min_rows: int, confidence: float
) -> list[WeakSlice]:
    """Leave out slices that are only weak by the rows of a slice with a smaller p-value: a slice stays if it is still
    worse on its other rows."""
    taken, kept = np.zeros(len(rows), bool), []
    for one in sorted(weak, key=lambda one: (one.p, len(one.slice), tuple(one.slice.values()))):
        inside = np.logical_and.reduce([rows.columns[column] == name for column, name in one.slice.items()])
        left = inside & ~taken
        if left.sum() < inside.sum():
            rest = rows.take(~taken)
            enough = left.sum() >= min_rows
            tested = _tested(_Whole(metric, rest), rest, tuple(one.slice), min_rows, confidence) if enough else []
            p = next((other.p for other in tested if other.slice == one.slice), 1.0)
            if p > FALSE_DISCOVERY_RATE / len(weak):
                continue
        kept.append(one)
        taken |= inside
    return kept
