"""Poisson bootstrap of clusters; the weights are a hash of cluster, draw and seed.

So the draws repeat byte for byte, and the draws of two models are paired. The rows of one cluster (a day, a patient)
have the same weight in a draw.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Metric, Numbers, SumMetric
from ray_pipeline.components.metrics._rank import Histogram, Question, RankMetric
from ray_pipeline.evaluation.pieces import Pieces, as_pieces, bin_of
from ray_pipeline.hashing import mix
from ray_pipeline.runtime.background import in_background
from ray_pipeline.spec import Spec
from ray_pipeline.values import Predictions, Vector

# Rank metrics use as many bins as a tenth of the rows, within these limits; where there are more distinct scores, some
# share a bin. Measured error of a draw at 60,000 rows: AUC 2e-6, average precision 7e-5; at 5,000 rows: 4e-5 and 2e-4.
# All errors are under 0.03 standard errors.
MIN_BINS, MAX_BINS = 512, 2048
CLUSTERS_PER_CHUNK, CLUSTERS_IN_CACHE = 1024, 256
"""Of 1,000 draws, 1024 clusters take 60 to 100 MB less than 4096, in the same time; 512 take longer."""
MAX_CELLS = 64_000_000
"""Histogram cells x draws in memory, 8 bytes each; a metric of many classes is drawn for some of them at a time."""
# The least 16-bit number whose Poisson(1) variate is above k, for k = 0 ... 7: 65536 times the distribution function.
_STEPS = np.round(65536 * np.cumsum([np.exp(-1.0) / f for f in (1, 1, 2, 6, 24, 120, 720, 5040)])).astype(np.uint16)
# The variate of every 16-bit number.
_VARIATE = np.searchsorted(_STEPS, np.arange(65536, dtype=np.uint32), side="right").astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """The settings of a bootstrap: number of draws, seed, and confidence of the intervals."""

    draws: int
    seed: int
    confidence: float

    @classmethod
    def of(cls, spec: Spec) -> "Bootstrap":
        """Return the settings of a spec."""
        return cls(draws=spec.evaluate.draws, seed=spec.seed, confidence=spec.evaluate.confidence)


def weights(cluster: NDArray[np.uint64], draws: int, seed: int) -> NDArray[np.uint8]:
    """Draw the Poisson(1) weight of each cluster in each draw; a pure function of id, draw and seed.

    Parameters
    ----------
    cluster
        Ids of the clusters, shape (clusters,).
    draws
        The number of draws.
    seed
        The seed of the draws.

    Returns
    -------
    ndarray
        Weights, shape (clusters, draws).
    """
    start = mix(cluster ^ mix(np.array([seed], np.uint64) + np.uint64(0x9E3779B97F4A7C15)))
    steps = np.arange(1, -(-draws // 4) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    drawn = np.empty((len(cluster), draws), np.uint8)
    for low in range(0, len(cluster), CLUSTERS_IN_CACHE):
        chunk = slice(low, low + CLUSTERS_IN_CACHE)
        bits = mix(start[chunk, None] + steps).astype("<u8", copy=False)
        drawn[chunk] = _VARIATE[bits.view(np.uint16)[:, :draws]]  # four draws from each 64 bits
    return drawn


def replicate(metrics: Sequence[Metric], rows: Predictions | Pieces, *, draws: int, seed: int) -> dict[str, Vector]:
    """Compute each metric in each draw of the bootstrap.

    Parameters
    ----------
    metrics
        Metrics that fit the task of the rows.
    rows
        Scored rows.
    draws
        The number of draws.
    seed
        The seed of the draws.

    Returns
    -------
    dict
        The draws by the metric's name, shape (draws,); NaN in a draw where the metric is undefined.
    """
    replicates = _Replicates(as_pieces(rows), draws, seed)
    sum_metrics = [metric for metric in metrics if isinstance(metric, SumMetric)]
    rank_metrics: dict[object, list[RankMetric]] = {}
    for metric in metrics:
        if isinstance(metric, RankMetric):
            rank_metrics.setdefault(type(metric).questions, []).append(metric)
    with in_background(lambda: replicates.totals(sum_metrics)) as totals:
        values = {name: value for ranks in rank_metrics.values() for name, value in replicates.ranked(ranks).items()}
        values |= {metric.name: metric.value(total) for metric, total in zip(sum_metrics, totals(), strict=True)}
    return {metric.name: values[metric.name] for metric in metrics}


class _ByCluster:
    """Rows in the order of their clusters: `order` (n,) sorts them, `cluster` (clusters,) are the ids, `first`
    (clusters + 1,) is where each cluster begins, and the end."""

    def __init__(self, rows: Predictions) -> None:
        self.rows, self.order = rows, np.argsort(rows.cluster, kind="stable")
        ordered = rows.cluster[self.order]
        first = np.flatnonzero(np.append(len(rows) > 0, ordered[1:] != ordered[:-1]))
        self.cluster, self.first = ordered[first], np.append(first, len(rows))


class _Replicates:
    """Sums and histograms of rows in every draw. A cluster whose rows are in several pieces has one weight in all."""

    def __init__(self, rows: Pieces, draws: int, seed: int) -> None:
        self.rows, self.draws, self.seed = rows, draws, seed
        self.ordered = None if rows.parts > 1 else [_ByCluster(some) for some in rows]

    def chunks(self) -> Iterator[tuple[Predictions, NDArray[np.intp], NDArray[np.intp], Numbers]]:
        """Yield, for some clusters at a time, rows, the places of these clusters among them, where each cluster begins
        among the places (with the end), and the weights (clusters, draws)."""
        for some in self.ordered or map(_ByCluster, self.rows):
            for low in range(0, len(some.cluster), CLUSTERS_PER_CHUNK):
                first = some.first[low : low + CLUSTERS_PER_CHUNK + 1]
                drawn = weights(some.cluster[low : low + CLUSTERS_PER_CHUNK], self.draws, self.seed).astype(np.float64)
                yield some.rows, some.order[first[0] : first[-1]], first - first[0], drawn

    def totals(self, metrics: Sequence[SumMetric]) -> list[Numbers]:
        """Return the sums of each metric in each draw, each (draws, k): sums of each cluster, then a matrix product."""
        if not metrics:
            return []
        none = self.rows.rows.take(slice(0))
        widths = [metric.terms(none.label, none.scores_for(metric), none.cut).shape[1] for metric in metrics]
        totals = np.zeros((self.draws, sum(widths)))
        for rows, places, first, drawn in self.chunks():
            some = rows.take(places)
            terms = np.hstack([metric.terms(*self.rows.given(metric, some), some.cut) for metric in metrics])
            terms = terms * some.weight[:, None]  # they may be whole numbers
            totals += drawn.T @ (terms if len(first) - 1 == len(places) else np.add.reduceat(terms, first[:-1], axis=0))
        return np.split(totals, np.cumsum(widths)[:-1], axis=1)

    def ranked(self, metrics: Sequence[RankMetric]) -> dict[str, Vector]:
        """Return the draws of metrics that ask the same questions."""
        axes = [_Axis.of(exact, self.rows.size, metrics) for exact in self.rows.histograms(metrics[0])]
        batches, cells = list[list[int]](), MAX_CELLS
        for number, axis in enumerate(axes):
            cells += 2 * axis.bins * self.draws
            if cells > MAX_CELLS:
                batches.append([])
                cells = 2 * axis.bins * self.draws
            batches[-1].append(number)
        by_class: dict[str, list[Numbers]] = {metric.name: [] for metric in metrics}
        positives = []
        for batch in batches:
            for histogram in self.histograms(metrics[0], {number: axes[number] for number in batch}):
                positives.append(histogram.positives.sum(axis=-1))
                for metric in metrics:
                    by_class[metric.name].append(metric.of(histogram))
        values = {}
        for place, metric in enumerate(metrics):
            drawn = metric.over_classes(np.stack(by_class[metric.name], axis=-1), np.stack(positives, axis=-1))
            if any(axis.is_coarse for axis in axes):
                # Bins shift all draws by about as much as they shift the value of the rows.
                exact, binned = (
                    metric.over_classes(np.stack([of[place] for of, _ in one]), np.stack([total for _, total in one]))
                    for one in zip(*((axis.exact, _measured(axis.binned, metrics)) for axis in axes), strict=True)
                )
                drawn = drawn + (exact - binned)
            values[metric.name] = drawn
        return values

    def histograms(self, metric: RankMetric, axes: Mapping[int, "_Axis"]) -> list[Histogram]:
        """Return the histogram of each axis, by the number of its question, with weights (draws, 2, bins)."""
        from scipy.sparse import csc_array

        totals = {number: np.zeros((2 * axis.bins, self.draws)) for number, axis in axes.items()}
        for rows, places, first, drawn in self.chunks():
            some = rows.take(places)
            questions = metric.questions(some.label, some.score)
            for number, axis in axes.items():
                # One column for each cluster, one entry for each of its rows: the product adds them up in every draw.
                entries = (some.weight, axis.cell(questions[number]), first)
                totals[number] += csc_array(entries, shape=(2 * axis.bins, len(first) - 1)) @ drawn
        return [
            Histogram(
                np.ascontiguousarray(totals[number].T).reshape(self.draws, 2, axis.bins),
                axis.binned.low,
                axis.binned.high,
                axis.binned.count,
            )
            for number, axis in axes.items()
        ]


@dataclass(frozen=True)
class _Axis:
    """A question's places in a bounded number of bins; `exact` is what was measured before places shared bins, if they
    do (`is_coarse`)."""

    binned: Histogram
    exact: tuple[Numbers, float]
    is_coarse: bool

    @property
    def bins(self) -> int:
        return len(self.binned.low)

    @classmethod
    def of(cls, exact: Histogram, rows: int, metrics: Sequence[RankMetric]) -> "_Axis":
        bins, measured = min(max(rows // 10, MIN_BINS), MAX_BINS), _measured(exact, metrics)
        if (weighs := exact.weights.sum(axis=0) > 0).any():
            exact = Histogram(exact.weights[:, weighs], exact.low[weighs], exact.high[weighs], exact.count)
        if len(exact.low) <= bins:
            return cls(exact, measured, is_coarse=False)
        # Bins have equal shares of both classes: with rare positives, bins of equal weight would put the few at the top
        # into one bin.
        sides = [side for side in exact.weights if side.sum() > 0] or [np.ones(len(exact.low))]
        share = np.mean([np.cumsum(side) / side.sum() for side in sides], axis=0)  # in (0, 1]
        _, first = np.unique(np.ceil(share * bins), return_index=True)
        binned = Histogram(
            np.add.reduceat(exact.weights, first, axis=1),
            exact.low[first],
            exact.high[np.append(first[1:], len(share)) - 1],
            exact.count,
        )
        return cls(binned, measured, is_coarse=True)

    def cell(self, question: Question) -> NDArray[np.intp]:
        """The bin of each row, plus the number of bins for positives."""
        return np.asarray(bin_of(question.along, self.binned.low) + self.bins * (question.positive == 1))


def _measured(rows: Histogram, metrics: Sequence[RankMetric]) -> tuple[Numbers, float]:
    """The value of each metric on one question, shape (metrics,), and the weight of its positives."""
    return np.array([metric.of(rows) for metric in metrics]), rows.positives.sum()
