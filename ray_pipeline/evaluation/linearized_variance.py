"""Each metric in every group of rows, with an interval from its linearized variance; nothing is resampled.

The influence of a cluster is by how much it moves a metric. The linearized variance is the sum of squared influences.
Some groups at a time, or some clusters of a large group, are sorted: memory does not grow with the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Metric, SumMetric, divide
from ray_pipeline.components.metrics._rank import Ranked, RankMetric, ranked
from ray_pipeline.evaluation.intervals import reach, wilson
from ray_pipeline.evaluation.ordered_rows import OrderedRows
from ray_pipeline.evaluation.pieces import Group, Pieces, bin_of, whole_groups
from ray_pipeline.values import Predictions, Vector

_NONE = np.empty(0)


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
    group: Group,
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
        The number of each row's group, shape (n,), in [0, G), or -1 for none; no group is empty.
    confidence
        The confidence of each interval, in (0, 1).
    other_influence
        The influence of each row's cluster on another value, shape (n,), for `Bounds.covariance`; 0 unless given.

    Returns
    -------
    dict
        The bounds by the metric's name.
    """
    parts = [
        _WholeGroups(some, group, low, high, other_influence).bounds(metrics, confidence)
        for some, low, high in whole_groups(replace(rows, columns={}), group)
    ]
    return {
        metric.name: Bounds(
            **{
                field.name: np.concatenate([_NONE, *(getattr(part[metric.name], field.name) for part in parts)])
                for field in fields(Bounds)
            }
        )
        for metric in metrics
    }


class _WholeGroups:
    """The groups from `low` to before `high`, with all their rows. A pass over them yields ordered rows: all at once,
    or one subset of the clusters of a large group after the other."""

    def __init__(self, rows: Pieces, group: Group, low: int, high: int, other_influence: Vector | None) -> None:
        self.rows, self.group, self.low, self.count = rows, group, low, high - low
        self.other_influence = other_influence
        self.subsets = rows.parts if self.count == 1 else 1

    def __iter__(self) -> Iterator[OrderedRows]:
        if self.subsets == 1:
            yield self.together
        else:
            yield from (self.ordered(places) for places in self.places_of_subsets if len(places))

    @cached_property
    def together(self) -> OrderedRows:
        """All rows at once."""
        return self.ordered(self.rows.places)

    @cached_property
    def places_of_subsets(self) -> list[NDArray[np.intp]]:
        """The places of the rows of each subset."""
        return self.rows.in_subsets(self.subsets)

    def ordered(self, places: NDArray[np.intp]) -> OrderedRows:
        """Order some of the rows."""
        other = np.zeros(len(places)) if self.other_influence is None else self.other_influence[places]
        centre = self.rows.mean_label if self.subsets > 1 else None
        return OrderedRows(self.rows.rows.take(places), (self.group[places] - self.low).astype(np.intp), other, centre)

    def bounds(self, metrics: Sequence[Metric], confidence: float) -> dict[str, Bounds]:
        """Return the bounds of each metric, by its name."""
        sum_metrics: dict[object, list[SumMetric]] = {}
        for metric in metrics:
            if isinstance(metric, SumMetric):
                sum_metrics.setdefault(metric.same_terms, []).append(metric)
        bounds = self.ranked([metric for metric in metrics if isinstance(metric, RankMetric)], confidence)
        for same_terms in sum_metrics.values():
            bounds |= self.summed(same_terms, self.rows.rows.cut, confidence)
        return bounds

    def summed(self, metrics: Sequence[SumMetric], cut: float, confidence: float) -> dict[str, Bounds]:
        """Compute metrics of the same terms: one pass for the sums, one for the influence of each cluster."""
        none = self.rows.rows.take(slice(0))
        sums = np.zeros((self.count, metrics[0].terms(none.label, none.scores_for(metrics[0]), cut).shape[1]))
        for ordered in self:
            for terms, _, begins, group in ordered.chunks(metrics[0], cut):
                sums[group] += np.add.reduceat(terms, begins, axis=0)
        with np.errstate(all="ignore"):
            values = [metric.value(sums) for metric in metrics]
            gradients = [metric.gradient(sums) for metric in metrics]
        variance, covariance, square, clusters = (np.zeros((len(metrics), self.count)) for _ in range(4))
        for terms, other_influence, begins, group in (c for ordered in self for c in ordered.chunks(metrics[0], cut)):
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
        """Compute rank metrics group by group; those that ask the same questions share the histograms."""
        values, variance, covariance = (np.zeros((len(metrics), self.count)) for _ in range(3))
        by_questions: dict[object, list[int]] = {}
        for i, metric in enumerate(metrics):
            by_questions.setdefault(type(metric).questions, []).append(i)
        for alike in by_questions.values():
            ask = metrics[alike[0]]
            for group in range(self.count):
                whole = list(self.rows.histograms(ask)) if self.subsets > 1 else None
                for ordered in self:
                    cells, rows = ordered.of_group(group)
                    weight, questions = ordered.weight[rows], ask.questions(ordered.label[rows], ordered.score[rows])
                    if whole is None:
                        ranks = [ranked(question, weight) for question in questions]
                    else:
                        places = (bin_of(one.along, of.low) for one, of in zip(questions, whole, strict=True))
                        ranks = [Ranked(*one) for one in zip(whole, places, strict=True)]
                    for i in alike:
                        values[i, group] = metrics[i].value([rank.histogram for rank in ranks])
                        of_row = metrics[i].influence_at(questions, ranks, weight)
                        influence = np.add.reduceat(of_row, cells[:-1] - cells[0])
                        variance[i, group] += influence @ influence
                        covariance[i, group] += of_row @ ordered.other_influence[rows]
        return {
            metric.name: _bounds(metric, values[i], variance[i], covariance[i], self.clusters, confidence)
            for i, metric in enumerate(metrics)
        }

    @cached_property
    def clusters(self) -> Vector:
        """How many clusters of each group have weight."""
        return np.asarray(sum(ordered.clusters for ordered in self))


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
