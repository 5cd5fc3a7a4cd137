"""Each metric in every group of rows, with an interval from its linearized variance; nothing is resampled.

The influence of a cluster is by how much it moves a metric. The linearized variance is the sum of squared influences.
Some groups at a time are sorted by cluster and read in chunks: beyond 8 bytes a row, memory is that of these groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import ROWS_PER_CHUNK, Metric, Numbers, SumMetric, divide, without_mean
from ray_pipeline.components.metrics._rank import RankMetric, ranked
from ray_pipeline.evaluation.intervals import reach, wilson
from ray_pipeline.values import Predictions, Vector

ROWS_AT_ONCE = 1_000_000
"""Rows of some groups that are sorted together; a larger group is sorted alone."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """One metric in G groups, NaN where it is undefined; each array has the shape (G,)."""

    value: Vector
    low: Vector
    high: Vector
    error: Vector
    """Standard errors."""
    variance: Vector
    """The linearized variance."""
    clusters: Vector
    """Clusters that the value depends on."""
    covariance: Vector
    """With another value of the same rows."""


def linearized_bounds(
    metrics: Sequence[Metric],
    rows: Predictions,
    group: NDArray[np.intp],
    confidence: float,
    other_influence: Vector | None = None,
) -> dict[str, Bounds]:
    """Compute each metric in each group, with its bounds.

    Parameters
    ----------
    metrics
        Metrics that fit the task of the rows.
    rows
        n scored rows.
    group
        The number of each row's group, shape (n,), in [0, G); no group is empty.
    confidence
        The confidence of each interval, in (0, 1).
    other_influence
        The influence of each row's cluster on another value, shape (n,), for `Bounds.covariance`; 0 unless given.

    Returns
    -------
    dict
        The bounds by the metric's name.
    """
    parts = []
    for places, of in _some_groups(group):
        other = np.zeros(len(of)) if other_influence is None else other_influence[places]
        some = rows if isinstance(places, slice) else replace(rows, columns={}).take(places)
        parts.append(_OrderedRows(some, of, other).bounds(metrics, confidence))
    return {
        metric.name: Bounds(
            **{
                field.name: np.concatenate([getattr(part[metric.name], field.name) for part in parts])
                for field in fields(Bounds)
            }
        )
        for metric in metrics
    }


def _some_groups(group: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp] | slice, NDArray[np.intp]]]:
    """Yield the places of the rows of some whole groups at a time, and the group of each row, from 0 on."""
    if len(group) <= ROWS_AT_ONCE:
        yield slice(None), group
        return
    sizes = np.bincount(group)
    ends = np.cumsum(sizes)
    small = np.min_scalar_type(len(sizes))  # numpy sorts 16 bits by counting: no copy, and six times as fast
    order = np.argsort(group.astype(small), kind="stable")
    begins = np.flatnonzero(np.diff((ends - 1) // ROWS_AT_ONCE, prepend=-1))
    for low, high in zip(begins, np.append(begins[1:], len(sizes)), strict=True):
        yield order[ends[low] - sizes[low] : ends[high - 1]], np.repeat(np.arange(high - low), sizes[low:high])


class _OrderedRows:
    """Rows in the order of (group, cluster). A cell is the rows of one cluster in one group: `cell` is where each cell
    begins, `first` the first cell of each group; both with their end."""

    def __init__(self, rows: Predictions, group: NDArray[np.intp], other_influence: Vector) -> None:
        order = np.lexsort((rows.cluster, group))
        self.rows, self.order = rows, order
        self.label, self.score, self.weight = rows.label[order], rows.score[order], rows.weight[order]
        self.other_influence = other_influence[order]
        self.group, cluster = group[order], rows.cluster[order]
        new = (self.group[1:] != self.group[:-1]) | (cluster[1:] != cluster[:-1])
        self.cell = np.concatenate([[0], np.flatnonzero(new) + 1, [len(order)]]) if len(order) else np.zeros(1, np.intp)
        self.first = np.append(np.flatnonzero(np.diff(self.group[self.cell[:-1]], prepend=-1)), len(self.cell) - 1)

    def bounds(self, metrics: Sequence[Metric], confidence: float) -> dict[str, Bounds]:
        """Return the bounds of each metric, by its name."""
        sum_metrics: dict[object, list[SumMetric]] = {}
        for metric in metrics:
            if isinstance(metric, SumMetric):
                sum_metrics.setdefault(metric.same_terms, []).append(metric)
        bounds = self.ranked([metric for metric in metrics if isinstance(metric, RankMetric)], confidence)
        for same_terms in sum_metrics.values():
            bounds |= self.summed(same_terms, self.rows.cut, confidence)
        return bounds

    def given(self, metric: SumMetric) -> tuple[Vector, Numbers]:
        """Return labels and scores as the metric takes them."""
        if metric.of_regions:
            return self.label, self.measures
        return self.near_zero if metric.centred else (self.label, self.score)

    def chunks(
        self, metric: SumMetric, cut: float
    ) -> Iterator[tuple[Numbers, Vector, NDArray[np.intp], NDArray[np.intp]]]:
        """Yield, for some cells at a time, their weighted sums (cells, k), their other influence (cells,), where each
        group begins among them, and the numbers of these groups."""
        begin, last = 0, len(self.cell) - 1
        while begin < last:
            end = max(int(np.searchsorted(self.cell, self.cell[begin] + ROWS_PER_CHUNK, side="right")) - 1, begin + 1)
            chunk = slice(self.cell[begin], self.cell[end])
            label, score = self.given(metric)
            terms = metric.terms(label[chunk], score[chunk], cut)
            terms *= self.weight[chunk, None]
            if end - begin < len(terms):
                terms = np.add.reduceat(terms, self.cell[begin:end] - self.cell[begin], axis=0)
            low = int(np.searchsorted(self.first, begin, side="right")) - 1
            high = int(np.searchsorted(self.first, end, side="left"))
            begins = np.maximum(self.first[low:high] - begin, 0)
            yield terms, self.other_influence[self.cell[begin:end]], begins, np.arange(low, high)
            begin = end

    def summed(self, metrics: Sequence[SumMetric], cut: float, confidence: float) -> dict[str, Bounds]:
        """Compute metrics of the same terms: one pass for the sums, one for the influence of each cluster."""
        groups = len(self.first) - 1
        label, score = self.given(metrics[0])
        sums = np.zeros((groups, metrics[0].terms(label[:0], score[:0], cut).shape[1]))
        for terms, _, begins, group in self.chunks(metrics[0], cut):
            sums[group] += np.add.reduceat(terms, begins, axis=0)
        with np.errstate(all="ignore"):
            values = [metric.value(sums) for metric in metrics]
            gradients = [metric.gradient(sums) for metric in metrics]
        variance, covariance, square, clusters = (np.zeros((len(metrics), groups)) for _ in range(4))
        for terms, other_influence, begins, group in self.chunks(metrics[0], cut):
            of = np.repeat(group, np.diff(begins, append=len(terms)))
            for i, (metric, gradient) in enumerate(zip(metrics, gradients, strict=True)):
                influence = np.einsum("ck,ck->c", terms, gradient[of])
                variance[i, group] += np.add.reduceat(influence**2, begins)
                covariance[i, group] += np.add.reduceat(influence * other_influence, begins)
                if metric.is_share:
                    denominator = metric.fraction(terms)[1]
                    square[i, group] += np.add.reduceat(denominator**2, begins)
                    clusters[i, group] += np.add.reduceat((denominator != 0).astype(np.float64), begins)
        bounds = {}
        for i, metric in enumerate(metrics):
            if metric.is_share:
                size = divide(metric.fraction(sums)[1] ** 2, square[i])
                bounds[metric.name] = _share_bounds(
                    values[i], variance[i], covariance[i], clusters[i], size, confidence
                )
            else:
                bounds[metric.name] = _bounds(metric, values[i], variance[i], covariance[i], self.clusters, confidence)
        return bounds

    def ranked(self, metrics: Sequence[RankMetric], confidence: float) -> dict[str, Bounds]:
        """Compute rank metrics group by group; those that ask the same questions share the sorting."""
        groups = len(self.first) - 1
        values, variance, covariance = (np.full((len(metrics), groups), np.nan) for _ in range(3))
        for group in range(groups if metrics else 0):
            cells = self.cell[self.first[group] : self.first[group + 1] + 1]
            rows = slice(cells[0], cells[-1])
            label, score, weight = self.label[rows], self.score[rows], self.weight[rows]
            ranks_of = {}
            for i, metric in enumerate(metrics):
                ask = type(metric).questions
                if ask not in ranks_of:
                    questions = metric.questions(label, score)
                    ranks_of[ask] = questions, [ranked(question, weight) for question in questions]
                questions, ranks = ranks_of[ask]
                values[i, group] = metric.value([rank.histogram for rank in ranks])
                of_row = metric.influence_at(questions, ranks, weight)
                influence = np.add.reduceat(of_row, cells[:-1] - cells[0])
                variance[i, group], covariance[i, group] = influence @ influence, of_row @ self.other_influence[rows]
        return {
            metric.name: _bounds(metric, values[i], variance[i], covariance[i], self.clusters, confidence)
            for i, metric in enumerate(metrics)
        }

    @cached_property
    def measures(self) -> Numbers:
        """The measures of intervals or sets, shape (n, 2)."""
        return self.rows.measures[self.order]

    @cached_property
    def near_zero(self) -> tuple[Vector, Numbers]:
        """Labels and predictions, less the mean label of their group."""
        return without_mean(self.label, self.score, self.weight, self.group)

    @cached_property
    def clusters(self) -> Vector:
        """How many clusters of each group have weight."""
        has_weight = np.add.reduceat(self.weight, self.cell[:-1]) > 0
        return np.add.reduceat(has_weight.astype(np.float64), self.first[:-1])


def _bounds(
    metric: Metric, value: Vector, variance: Vector, covariance: Vector, clusters: Vector, confidence: float
) -> Bounds:
    error, errors = np.sqrt(np.where(np.isfinite(value), variance, np.nan)), reach(clusters, confidence)
    low, high = (np.clip(value + side * errors * error, *metric.range) for side in (-1, 1))
    spread = {"error": error, "variance": variance, "covariance": covariance}
    return Bounds(value=value, low=low, high=high, clusters=clusters, **spread)


def _share_bounds(
    value: Vector, variance: Vector, covariance: Vector, clusters: Vector, size: Vector, confidence: float
) -> Bounds:
    """Wilson's interval, which stays inside [0, 1]; `size` is the effective number of independent observations."""
    # A share of 0 or 1 shows no variance: its interval then comes from the number of independent observations.
    constant, errors = (value == 0) | (value == 1) | (variance == 0), reach(clusters, confidence)
    low, high = wilson(value, np.where(constant, size, divide(value * (1 - value), variance)), errors)
    spread = {"error": (high - low) / 2 / errors, "variance": variance, "covariance": covariance}
    return Bounds(value=value, low=low, high=high, clusters=clusters, **spread)
