"""The rows by group: which belong together, what each metric is in each group, and the one number that a gap, a ratio
or the worst makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Metric, Numbers
from ray_pipeline.evaluation.bootstrap import Bootstrap, num_clusters, replicate
from ray_pipeline.evaluation.intervals import NAN, Interval, largest_gap, simultaneous
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.spec.gate import Reduction
from ray_pipeline.values import Predictions, Vector


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """One metric on the groups that are large enough to be judged, G of them, with D draws.

    `names` and `values` (G,); `draws` (D, G); `floor` (G,) the least standard error of a share whose draws do not vary;
    `clusters`: independent observations in all of them.
    """

    metric: Metric
    names: tuple[Mapping[str, str], ...]
    values: Vector
    draws: Numbers
    floor: Vector
    clusters: int

    def reduce(self, reduction: Reduction, confidence: float) -> Interval:
        """Largest gap, ratio of least to greatest, or worst value, with an interval that allows for having looked at
        every group."""
        if (
            not len(self.values)
            or not np.isfinite(self.values).all()
            or (len(self.values) < 2 and reduction != "worst")
        ):
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
        """The same number in each draw, shape (D,); it compares two models on paired draws."""
        if reduction == "gap":
            return np.asarray(self.draws.max(axis=1) - self.draws.min(axis=1))
        if reduction == "ratio":
            return _least_by_greatest(self.draws)
        return np.asarray(self.draws.min(axis=1) if self.metric.better == "higher" else self.draws.max(axis=1))

    def extremes(self) -> dict[str, str]:
        """The groups with the least and the greatest value, as `A to B` for each column; empty where there are not
        two."""
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
        # A rate of 0, or often 0: no logarithm; the ratio may be 0 and is at most that of the nearest bounds.
        half = simultaneous(self.values, self.draws, self.floor, self.clusters, confidence)
        least, greatest = float((self.values + half).min()), float((self.values - half).max())
        return (
            Interval(value, 0.0, min(1.0, least / greatest) if greatest > 0 else 1.0)
            if np.isfinite(least)
            else Interval(value, NAN, NAN)
        )


@dataclass(frozen=True)
class Groups:
    """The rows' groups: `names` (G,), sorted; `of` (n,) the number of each row's group; `sizes` (G,) in rows."""

    names: tuple[Mapping[str, str], ...]
    of: NDArray[np.intp]
    sizes: NDArray[np.intp]

    def largest(self, most: int, least: int = 1) -> NDArray[np.intp]:
        """The numbers of the `most` largest groups of at least `least` rows, ascending."""
        large = np.flatnonzero(self.sizes >= least)
        return large if len(large) <= most else np.sort(large[np.argsort(-self.sizes[large], kind="stable")[:most]])


def groups_of(rows: Predictions, columns: Sequence[str]) -> Groups:
    """The groups of every combination of values that occurs."""
    code = np.zeros(len(rows), np.int64)
    values: list[list[str]] = []
    for column in columns:
        coded = pa.array(rows.columns[column], pa.string()).dictionary_encode()
        values.append(coded.dictionary.to_pylist())
        code = code * len(values[-1]) + coded.indices.to_numpy()
    distinct, of, sizes = np.unique(code, return_inverse=True, return_counts=True)
    names = []
    for one in distinct.tolist():
        parts = []
        for known in reversed(values):
            one, place = divmod(one, len(known))
            parts.append(known[place])
        names.append(tuple(reversed(parts)))
    order = np.array(sorted(range(len(names)), key=names.__getitem__), np.intp)
    number = np.empty(len(order), np.intp)
    number[order] = np.arange(len(order))
    return Groups(tuple(dict(zip(columns, names[place], strict=True)) for place in order), number[of], sizes[order])


def measure_groups(
    metrics: Sequence[Metric], rows: Predictions, columns: Sequence[str], bootstrap: Bootstrap, *, min_rows: int
) -> list[Grouped]:
    """Measure each metric in every group of at least `min_rows` rows."""
    groups = groups_of(rows, columns)
    judged = groups.largest(len(groups.names), min_rows)
    names = tuple(groups.names[number] for number in judged)
    if not len(judged):
        nothing, no_draws = np.empty(0), np.empty((bootstrap.draws, 0))
        return [
            Grouped(metric=metric, names=(), values=nothing, draws=no_draws, floor=nothing, clusters=0)
            for metric in metrics
        ]
    kept = np.isin(groups.of, judged)
    rows, of = rows.take(kept), np.searchsorted(judged, groups.of[kept])
    bounds = linearized_bounds(metrics, rows, of, bootstrap.confidence)
    order = np.argsort(of, kind="stable")
    drawn = [
        replicate(metrics, rows.take(some), draws=bootstrap.draws, seed=bootstrap.seed)
        for some in np.split(order, np.cumsum(groups.sizes[judged])[:-1])
    ]
    clusters = num_clusters(rows)
    return [
        Grouped(
            metric=metric,
            names=names,
            values=bounds[metric.name].value,
            draws=np.stack([one[metric.name] for one in drawn], axis=1),
            floor=bounds[metric.name].error if metric.is_share else np.zeros(len(judged)),
            clusters=clusters,
        )
        for metric in metrics
    ]


def _least_by_greatest(values: Numbers) -> Vector:
    least, greatest = values.min(axis=1), values.max(axis=1)
    return np.asarray(np.divide(least, greatest, out=np.full(len(values), NAN), where=(greatest > 0) & (least >= 0)))
