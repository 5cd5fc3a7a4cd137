"""Rows in groups: the groups of some columns, each metric in each group, and their gap, ratio or worst value."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Metric, Numbers
from ray_pipeline.evaluation.bootstrap import Bootstrap, replicate
from ray_pipeline.evaluation.intervals import NAN, Interval, largest_gap, simultaneous
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.evaluation.pieces import Pieces, num_clusters, ranges, whole_groups
from ray_pipeline.runtime.scratch import scratch_array
from ray_pipeline.spec.gate import Reduction
from ray_pipeline.values import Predictions, Vector

MAX_COUNTERS = 65_536
"""How many combinations are counted whatever the number of rows."""


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """One metric in the G groups that are large enough to be judged, with D draws of the bootstrap.

    Shapes: `names` and `values` (G,), `draws` (D, G), `floor` (G,).
    """

    metric: Metric
    names: tuple[Mapping[str, str], ...]
    values: Vector
    draws: Numbers
    floor: Vector
    """The standard error of a share whose draws do not vary."""
    clusters: int
    """Independent observations in all groups together."""

    def reduce(self, reduction: Reduction, confidence: float) -> Interval:
        """Reduce the groups to one number, with an interval that is corrected for the number of groups.

        Parameters
        ----------
        reduction
            `gap`: the largest difference; `ratio`: the least value by the greatest; `worst`: the worst value.
        confidence
            The confidence of the interval, in (0, 1).

        Returns
        -------
        Interval
            NaN where a group is undefined, or there are too few groups.
        """
        if len(self.values) < (1 if reduction == "worst" else 2) or not np.isfinite(self.values).all():
            return Interval(NAN, NAN, NAN)
        if reduction == "gap":
            return largest_gap(self.values, self.draws, self.floor, self.clusters, confidence)
        if reduction == "ratio":
            return self._ratio(confidence)
        half = simultaneous(self.values, self.draws, self.floor, self.clusters, confidence)
        low, high = self.metric.range
        bounds = [np.clip(bound, low, high) for bound in (self.values, self.values - half, self.values + half)]
        return Interval(*(float(bound.min() if self.metric.better == "higher" else bound.max()) for bound in bounds))

    def reduced_draws(self, reduction: Reduction) -> Vector:
        """Reduce the groups in each draw, shape (D,): two models are compared on paired draws."""
        if reduction == "gap":
            return np.asarray(self.draws.max(axis=1) - self.draws.min(axis=1))
        if reduction == "ratio":
            return _least_by_greatest(self.draws)
        return np.asarray(self.draws.min(axis=1) if self.metric.better == "higher" else self.draws.max(axis=1))

    def extremes(self) -> dict[str, str]:
        """Name the groups of the least and the greatest value, `A to B` for each column; empty for less than two."""
        if len(self.values) < 2 or not np.isfinite(self.values).all():
            return {}
        least, greatest = self.names[int(self.values.argmin())], self.names[int(self.values.argmax())]
        return {column: f"{least[column]} to {greatest[column]}" for column in least}

    def _ratio(self, confidence: float) -> Interval:
        value = float(_least_by_greatest(self.values[None, :])[0])
        if (self.values > 0).all():
            logs = np.log(np.where(self.draws > 0, self.draws, NAN))
            gap = largest_gap(np.log(self.values), logs, self.floor / self.values, self.clusters, confidence)
            if np.isfinite(gap.high):
                return Interval(value, float(np.exp(-gap.high)), float(np.exp(-gap.low)))
        if (self.values < 0).any() or not np.isfinite(value):
            return Interval(NAN, NAN, NAN)
        # A rate is 0, in the rows or in many draws, and has no logarithm. The ratio may be 0; it is at most that of the
        # nearest bounds.
        half = simultaneous(self.values, self.draws, self.floor, self.clusters, confidence)
        least, greatest = float((self.values + half).min()), float((self.values - half).max())
        if not np.isfinite(least):
            return Interval(value, NAN, NAN)
        return Interval(value, 0.0, min(1.0, least / greatest) if greatest > 0 else 1.0)


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The groups of n rows: `names` (G,), sorted; `of` (n,), the number of each row's group; `sizes` (G,), in rows."""

    names: tuple[Mapping[str, str], ...]
    of: NDArray[np.int32]
    sizes: NDArray[np.intp]

    def largest(self, most: int, least: int = 1) -> NDArray[np.intp]:
        """Return the numbers of the `most` largest groups of at least `least` rows, ascending."""
        large = np.flatnonzero(self.sizes >= least)
        return large if len(large) <= most else np.sort(large[np.argsort(-self.sizes[large], kind="stable")[:most]])

    def is_of(self, number: int, some: slice) -> NDArray[np.bool_]:
        """Which of some rows are of that group."""
        return np.asarray(self.of[some] == number)

    def among(self, kept: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return the place of each row's group among the ones that are kept, -1 where it is none of them; (n,)."""
        if len(kept) == len(self.names):
            return self.of
        place = np.full(len(self.names), -1, np.int32)
        place[kept] = np.arange(len(kept))
        return place[self.of]


def groups_of(rows: Predictions, columns: Sequence[str]) -> Groups:
    """Group rows by the values of some columns; every combination of values that occurs is a group."""
    encoded = [_codes(rows.columns[column]) for column in columns]
    shape = [len(values) for _, values in encoded]
    if math.prod(shape) <= max(len(rows), MAX_COUNTERS):  # counters take less memory than sorting
        counts = np.zeros(math.prod(shape), np.intp)
        for some in ranges(len(rows)):
            np.add.at(counts, _combined(encoded, some), 1)
        distinct = np.flatnonzero(counts)
        sizes, of = counts[distinct], scratch_array((len(rows),), np.int32)
        place = np.cumsum(counts > 0, dtype=np.int32) - 1
        for some in ranges(len(rows)):
            of[some] = place[_combined(encoded, some)]
    else:
        distinct, inverse, sizes = np.unique(
            _combined(encoded, slice(0, len(rows))), return_inverse=True, return_counts=True
        )
        of = inverse.astype(np.int32)
    places = np.unravel_index(distinct, shape)
    texts = [[values[place] for place in at] for at, (_, values) in zip(places, encoded, strict=True)]
    names = list(zip(*texts, strict=True))
    order = np.array(sorted(range(len(names)), key=names.__getitem__), np.intp)
    named = tuple(dict(zip(columns, names[place], strict=True)) for place in order)
    rank = np.argsort(order).astype(np.int32)
    for some in ranges(len(rows)):
        of[some] = rank[of[some]]
    return Groups(names=named, of=of, sizes=sizes[order])


def _combined(encoded: Sequence[tuple[NDArray[np.int32], list[str]]], rows: slice) -> NDArray[np.int64]:
    """One number for the codes of each of these rows."""
    combined = np.zeros(rows.stop - rows.start, np.int64)
    for codes, values in encoded:
        combined = combined * len(values) + codes[rows]
    return combined


def _codes(names: NDArray[Any]) -> tuple[NDArray[np.int32], list[str]]:
    """The place of each row's name among the different names, shape (n,), and these names."""
    codes, number = scratch_array((len(names),), np.int32), dict[str, int]()
    for some in ranges(len(names)):
        encoded = pa.array(names[some], pa.string()).dictionary_encode()
        places = [number.setdefault(name, len(number)) for name in encoded.dictionary.to_pylist()]
        codes[some] = np.array(places, np.int32)[encoded.indices.to_numpy()]
    return codes, list(number)


def measure_groups(
    metrics: Sequence[Metric], rows: Predictions, columns: Sequence[str], bootstrap: Bootstrap, *, min_rows: int
) -> list[Grouped]:
    """Compute each metric, with its draws, in every group of at least `min_rows` rows.

    Parameters
    ----------
    metrics
        Metrics that fit the task of the rows.
    rows
        Scored rows with the columns.
    columns
        The columns that make the groups.
    bootstrap
        The number of draws, their seed, and the confidence.
    min_rows
        Smaller groups are left out.
    """
    groups = groups_of(rows, columns)
    judged = groups.largest(len(groups.names), min_rows)
    if not len(judged):
        empty, no_draws = np.empty(0), np.empty((bootstrap.draws, 0))
        return [
            Grouped(metric=metric, names=(), values=empty, draws=no_draws, floor=empty, clusters=0)
            for metric in metrics
        ]
    of = groups.among(judged)
    bounds = linearized_bounds(metrics, rows, of, bootstrap.confidence)
    draws = [replicate(metrics, some, draws=bootstrap.draws, seed=bootstrap.seed) for some in _by_group(rows, of)]
    clusters = num_clusters(Pieces(rows, lambda some: of[some] >= 0))
    return [
        Grouped(
            metric=metric,
            names=tuple(groups.names[number] for number in judged),
            values=bounds[metric.name].value,
            draws=np.stack([by_metric[metric.name] for by_metric in draws], axis=1),
            floor=bounds[metric.name].error if metric.is_share else np.zeros(len(judged)),
            clusters=clusters,
        )
        for metric in metrics
    ]


def _by_group(rows: Predictions, of: NDArray[np.int32]) -> Iterator[Predictions | Pieces]:
    """The rows of each group, in the order of the groups."""
    for some, low, high in whole_groups(replace(rows, columns={}), of):
        if high - low == 1:
            yield some
            continue
        together, number = some.together(), of[some.places] - low
        order, sizes = np.argsort(number, kind="stable"), np.bincount(number)
        yield from map(together.take, np.split(order, np.cumsum(sizes)[:-1]))


def _least_by_greatest(values: Numbers) -> Vector:
    least, greatest = values.min(axis=1), values.max(axis=1)
    return np.asarray(np.divide(least, greatest, out=np.full(len(values), NAN), where=(greatest > 0) & (least >= 0)))
