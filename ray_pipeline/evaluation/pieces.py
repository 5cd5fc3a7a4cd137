"""Scored rows that are read some at a time: what is made of them takes no memory for each row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Metric, Numbers, SumMetric
from ray_pipeline.components.metrics._rank import Histogram, RankMetric, ranked, weigh
from ray_pipeline.hashing import distinct, mix, uniform
from ray_pipeline.runtime.scratch import in_buckets
from ray_pipeline.values import Predictions, Vector

ROWS_AT_ONCE = 1_000_000
MAX_RANKED, MAX_PLACES = 2_000_000, 1 << 20
"""Of more rows than `MAX_RANKED`, neighbours along an axis share one of `MAX_PLACES` places."""

Group = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Pieces:
    """All rows, or some of them. Each pass over them yields `Predictions` of about `ROWS_AT_ONCE` rows at most."""

    rows: Predictions
    among: Callable[[slice], NDArray[np.bool_]] | None = None
    """Says for a range of rows which of them are read; None for all."""

    def __iter__(self) -> Iterator[Predictions]:
        if self.among is not None:
            yield from map(self.rows.take, self._some_places())
        elif len(self.rows) <= ROWS_AT_ONCE:
            yield self.rows
        else:
            yield from map(self.rows.take, ranges(len(self.rows)))

    @cached_property
    def size(self) -> int:
        """The number of rows."""
        return len(self.rows) if self.among is None else sum(map(len, self._some_places()))

    @property
    def parts(self) -> int:
        """In how many parts the rows are read."""
        return max(1, -(-self.size // ROWS_AT_ONCE))

    def together(self) -> Predictions:
        """Return all rows at once."""
        return self.rows if self.among is None else self.rows.take(self.places)

    def in_subsets(self, subsets: int) -> list[NDArray[np.intp]]:
        """Return the places of the rows in subsets of about the same size; the rows of a cluster are in one of them."""
        return in_buckets(self._with_subset, subsets, np.intp)

    def value(self, metric: Metric) -> float:
        """Compute a metric on the rows; NaN where it is undefined."""
        if isinstance(metric, RankMetric) and self.size > MAX_RANKED:
            return float(metric.value(list(self.histograms(metric))))
        if isinstance(metric, SumMetric) and self.parts > 1:
            sums = (metric.sums(*self.given(metric, some), some.weight, some.cut) for some in self)
            return float(metric.value(sum(sums, np.zeros(1))))
        rows = self.together()
        return metric(rows.label, rows.scores_for(metric), rows.weight, rows.cut)

    def given(self, metric: SumMetric, some: Predictions) -> tuple[Vector, Numbers]:
        """Return labels and scores of some of the rows as the metric takes them."""
        score = some.scores_for(metric)
        return (some.label - self.mean_label, score - self.mean_label) if metric.centred else (some.label, score)

    @cached_property
    def mean_label(self) -> float:
        """The weighted mean of the labels; 0 where nothing has weight."""
        least = min((float(some.label.min()) for some in self if len(some)), default=0.0)
        weight = sum(float(some.weight.sum()) for some in self)
        # Sums of labels far from 0 lose digits.
        return least + sum(float(some.weight @ (some.label - least)) for some in self) / weight if weight else least

    def histograms(self, metric: RankMetric) -> Iterator[Histogram]:
        """Yield the histogram of each of the metric's questions over the rows.

        It is over the distinct places along the axis, where nothing is lost; of more than `MAX_RANKED` rows over about
        `MAX_PLACES` bins at most, with about as many positives, or as many negatives, in each.
        """
        if self.size <= MAX_RANKED:
            rows = self.together()
            for question in metric.questions(rows.label, rows.score):
                yield ranked(question, rows.weight).histogram
            return
        edges = self._edges(metric)
        weights = [np.zeros((2, len(one))) for one in edges]
        ends = [(np.full(len(one), np.inf), np.full(len(one), -np.inf)) for one in edges]
        for some in self:
            for place, question in enumerate(metric.questions(some.label, some.score)):
                at, (low, high) = bin_of(question.along, edges[place]), ends[place]
                weights[place] += weigh(question.positive, at, some.weight, len(edges[place]))
                np.minimum.at(low, at, question.along)
                np.maximum.at(high, at, question.along)
        for one, (low, high) in zip(weights, ends, strict=True):
            yield Histogram(one, low, high, self.size)

    def _edges(self, metric: RankMetric) -> list[Vector]:
        """The lower ends of bins for each question: different values of rows that are drawn, of both sides as many."""
        counts: Numbers = np.zeros((1, 2))
        for some in self:
            questions = metric.questions(some.label, some.score)
            counts = counts + [[int((one.positive == side).sum()) for side in (0, 1)] for one in questions]
        share = MAX_PLACES / 2 / len(counts) / np.maximum(counts, 1)  # (questions, sides)
        drawn, begun = [[np.empty(0)] for _ in counts], 0
        for some in self:
            # By a hash: every k-th row might be one kind of several that come in turn.
            luck = uniform(mix(np.arange(begun, begun + len(some), dtype=np.uint64)))
            begun += len(some)
            for place, question in enumerate(metric.questions(some.label, some.score)):
                drawn[place].append(question.along[luck < share[place][(question.positive == 1).astype(np.intp)]])
        return [distinct(np.concatenate(one)) for one in drawn]

    @property
    def places(self) -> NDArray[np.intp]:
        """The places of these rows among all rows, ascending."""
        return np.concatenate([np.empty(0, np.intp), *self._some_places()])

    def _some_places(self) -> Iterator[NDArray[np.intp]]:
        for some in ranges(len(self.rows)):
            kept = np.ones(some.stop - some.start, bool) if self.among is None else self.among(some)
            yield np.flatnonzero(kept) + some.start

    def _with_subset(self, subsets: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        for places in self._some_places():
            yield places, (mix(self.rows.cluster[places]) % np.uint64(subsets)).astype(np.intp)


def ranges(count: int) -> Iterator[slice]:
    """Yield the ranges of rows that are read at once."""
    return (slice(low, min(low + ROWS_AT_ONCE, count)) for low in range(0, count, ROWS_AT_ONCE))


def bin_of(along: Vector, lower_ends: Vector) -> NDArray[np.intp]:
    """Return the bin of each place along an axis; what is below the first bin is in it."""
    return np.maximum(np.searchsorted(lower_ends, along, side="right") - 1, 0)


def as_pieces(rows: Predictions | Pieces) -> Pieces:
    """Return rows as pieces, if they are not already."""
    return rows if isinstance(rows, Pieces) else Pieces(rows)


def num_clusters(rows: Predictions | Pieces) -> int:
    """Count the clusters of the rows: the independent observations."""
    pieces = as_pieces(rows)
    subsets = pieces.in_subsets(max(1, -(-pieces.size // MAX_RANKED)))
    return sum(len(distinct(pieces.rows.cluster[places])) for places in subsets)


def whole_groups(rows: Predictions, group: Group) -> Iterator[tuple[Pieces, int, int]]:
    """Yield all groups, some at a time: groups of about `ROWS_AT_ONCE` rows together, or a larger one.

    Parameters
    ----------
    rows
        n rows.
    group
        The number of each row's group, shape (n,), in [0, G), or -1 for none; no group is empty.

    Yields
    ------
    tuple of Pieces, int, int
        The rows, the first group, and the one after the last.
    """
    sizes = np.zeros(0, np.intp)
    for some in ranges(len(group)):
        counts = np.bincount(group[some][group[some] >= 0], minlength=len(sizes))
        counts[: len(sizes)] += sizes
        sizes = counts
    large = sizes > ROWS_AT_ONCE
    begins_anew = np.diff((np.cumsum(sizes) - 1) // ROWS_AT_ONCE, prepend=-1) > 0
    begins = np.flatnonzero(begins_anew | large | np.append(False, large[:-1])).tolist()
    for low, high in pairwise([*begins, len(sizes)]):
        yield Pieces(rows, partial(_between, group, low, high)), low, high


def _between(group: Group, low: int, high: int, some: slice) -> NDArray[np.bool_]:
    return np.asarray((group[some] >= low) & (group[some] < high))
