"""Each metric in every group of the rows, with its interval: in one go, by sums over rows that are sorted by group and
cluster.

A value's variance is the sum over clusters of the square of what the cluster moves it by (linearised variance); nothing
is resampled.
Memory beyond the sorted rows is that of one chunk, whatever the number of rows, groups and clusters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Metric, Numbers, SumMetric, divide
from ray_pipeline.components.metrics._rank import RankMetric, ranked
from ray_pipeline.evaluation.intervals import reach, wilson
from ray_pipeline.values import Predictions, Vector

ROWS_AT_ONCE = 131_072


@dataclass(frozen=True)
class Bounds:
    """One metric in G groups, each (G,): values, their two-sided bounds and standard errors; NaN where undefined.

    `variance` is the linearised one, `clusters` how many there are, `shared` the covariance with another value of the
    same rows.
    """

    value: Vector
    low: Vector
    high: Vector
    error: Vector
    variance: Vector
    clusters: Vector
    shared: Vector


def linearized_bounds(
    metrics: Sequence[Metric],
    rows: Predictions,
    group: NDArray[np.intp],
    confidence: float,
    beside: Vector | None = None,
) -> dict[str, Bounds]:
    """The bounds of each metric by its word.

    Args:
        metrics: of the rows' task.
        rows: n of them.
        group: the number of each row's group, (n,) in [0, G); each has rows.
        confidence: of each interval by itself.
        beside: what each row's cluster moves another value by, (n,): `shared` is then the covariance with that; else 0.
    """
    ordered = _Ordered.of(rows, group, np.zeros(len(rows)) if beside is None else beside)
    kinds: dict[object, list[SumMetric]] = {}
    for metric in metrics:
        if isinstance(metric, SumMetric):
            kinds.setdefault(metric.same_terms, []).append(metric)
    found: dict[str, Bounds] = {}
    for alike in kinds.values():
        found |= ordered.summed(alike, rows.cut, confidence)
    found |= ordered.ranked([metric for metric in metrics if isinstance(metric, RankMetric)], confidence)
    return {metric.name: found[metric.name] for metric in metrics}


@dataclass(frozen=True)
class _Ordered:
    """Rows in the order of (group, cluster). `cell`: where each (group, cluster) begins; `first`: the first cell of
    each group; both with their end."""

    label: Vector
    score: Numbers
    weight: Vector
    beside: Vector
    cell: NDArray[np.intp]
    first: NDArray[np.intp]

    @classmethod
    def of(cls, rows: Predictions, group: NDArray[np.intp], beside: Vector) -> "_Ordered":
        cluster = np.unique(rows.cluster, return_inverse=True)[1]
        key = group * (int(cluster.max(initial=0)) + 1) + cluster
        order = np.argsort(key, kind="stable")
        key, group = key[order], group[order]
        cell = np.append(np.flatnonzero(np.diff(key, prepend=-1)), len(key))
        first = np.append(np.flatnonzero(np.diff(group[cell[:-1]], prepend=-1)), len(cell) - 1)
        return cls(rows.label[order], rows.score[order], rows.weight[order], beside[order], cell, first)

    def chunks(
        self, metric: SumMetric, cut: float
    ) -> Iterator[tuple[Numbers, Vector, NDArray[np.intp], NDArray[np.intp]]]:
        """Weighted sums of some cells, (cells, k), what stands beside them, where each group begins among them, and the
        number of each such group."""
        begin, last = 0, len(self.cell) - 1
        while begin < last:
            end = max(int(np.searchsorted(self.cell, self.cell[begin] + ROWS_AT_ONCE, side="right")) - 1, begin + 1)
            some = slice(self.cell[begin], self.cell[end])
            terms = metric.terms(self.label[some], self.score[some], cut)
            terms *= self.weight[some, None]
            if end - begin < len(terms):
                terms = np.add.reduceat(terms, self.cell[begin:end] - self.cell[begin], axis=0)
            low, high = (
                int(np.searchsorted(self.first, begin, side="right")) - 1,
                int(np.searchsorted(self.first, end, side="left")),
            )
            yield (
                terms,
                self.beside[self.cell[begin:end]],
                np.maximum(self.first[low:high] - begin, 0),
                np.arange(low, high),
            )
            begin = end

    def summed(self, metrics: Sequence[SumMetric], cut: float, confidence: float) -> dict[str, Bounds]:
        """Metrics of the same terms: one pass for the sums, one for what each cluster moves them by."""
        groups = len(self.first) - 1
        sums = np.zeros((groups, metrics[0].terms(self.label[:0], self.score[:0], cut).shape[1]))
        for terms, _, begins, group in self.chunks(metrics[0], cut):
            sums[group] += np.add.reduceat(terms, begins, axis=0)
        with np.errstate(all="ignore"):
            values, gradients = (
                [metric.value(sums) for metric in metrics],
                [metric.gradient(sums) for metric in metrics],
            )
        variance, shared, square, clusters = (np.zeros((len(metrics), groups)) for _ in range(4))
        for terms, beside, begins, group in self.chunks(metrics[0], cut):
            of = np.repeat(group, np.diff(begins, append=len(terms)))
            for place, (metric, gradient) in enumerate(zip(metrics, gradients, strict=True)):
                moved = np.einsum("ck,ck->c", terms, gradient[of])
                variance[place, group] += np.add.reduceat(moved**2, begins)
                shared[place, group] += np.add.reduceat(moved * beside, begins)
                if metric.is_share:
                    whole = metric.fraction(terms)[1]
                    square[place, group] += np.add.reduceat(whole**2, begins)
                    clusters[place, group] += np.add.reduceat((whole != 0).astype(np.float64), begins)
        found = {}
        for place, metric in enumerate(metrics):
            if metric.is_share:
                size = divide(metric.fraction(sums)[1] ** 2, square[place])
                found[metric.name] = _of_share(
                    values[place], variance[place], shared[place], clusters[place], size, confidence
                )
            else:
                found[metric.name] = _of_any(
                    metric, values[place], variance[place], shared[place], self.clusters, confidence
                )
        return found

    def ranked(self, metrics: Sequence[RankMetric], confidence: float) -> dict[str, Bounds]:
        """Metrics of the order, group by group; those that ask the same questions share the sorting."""
        if not metrics:
            return {}
        groups = len(self.first) - 1
        values, variance, shared = (np.full((len(metrics), groups), np.nan) for _ in range(3))
        for group in range(groups):
            cells = self.cell[self.first[group] : self.first[group + 1] + 1]
            some = slice(cells[0], cells[-1])
            label, score, weight = self.label[some], self.score[some], self.weight[some]
            known = {}
            for place, metric in enumerate(metrics):
                asks = type(metric).questions
                if asks not in known:
                    questions = metric.questions(label, score)
                    known[asks] = questions, [ranked(question, weight) for question in questions]
                questions, ranks = known[asks]
                values[place, group] = metric.value([rank.histogram for rank in ranks])
                of_row = metric.influence_at(questions, ranks, weight)
                moved = np.add.reduceat(of_row, cells[:-1] - cells[0])
                variance[place, group], shared[place, group] = moved @ moved, of_row @ self.beside[some]
        return {
            metric.name: _of_any(metric, values[i], variance[i], shared[i], self.clusters, confidence)
            for i, metric in enumerate(metrics)
        }

    @cached_property
    def clusters(self) -> Vector:
        """How many clusters of each group have weight."""
        weighs = np.add.reduceat(self.weight, self.cell[:-1]) > 0
        return np.add.reduceat(weighs.astype(np.float64), self.first[:-1])


def _of_any(
    metric: Metric, value: Vector, variance: Vector, shared: Vector, clusters: Vector, confidence: float
) -> Bounds:
    error, far = np.sqrt(np.where(np.isfinite(value), variance, np.nan)), reach(clusters, confidence)
    low, high = (np.clip(value + side * far * error, *metric.range) for side in (-1, 1))
    return Bounds(value, low, high, error, variance, clusters, shared)


def _of_share(
    value: Vector, variance: Vector, shared: Vector, clusters: Vector, whole: Vector, confidence: float
) -> Bounds:
    """By Wilson's interval, which stays inside [0, 1]; `whole`: how many independent observations its denominator is
    worth."""
    # A share of 0 or 1 shows no variance: it is then judged by the number of independent observations.
    none, far = (value == 0) | (value == 1) | (variance == 0), reach(clusters, confidence)
    low, high = wilson(value, np.where(none, whole, divide(value * (1 - value), variance)), far)
    return Bounds(value, low, high, (high - low) / 2 / far, variance, clusters, shared)
