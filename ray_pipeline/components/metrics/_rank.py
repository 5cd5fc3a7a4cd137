"""Metrics of the order of rows along an axis: the score (AUC, KS, lift) or the error (its median and other quantiles).

Their sums are two histograms along the axis, of the negatives and of the positives. Over the distinct places nothing is
lost, so the value is exact; over bins rows of one bin count as ties.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import HALF, Metric, Numbers, Task, Vector


class Question(NamedTuple):
    """What divides the rows and what orders them: `positive` (n,) of 0/1, `along` (n,), the place on the axis."""

    positive: Vector
    along: Vector


@dataclass(frozen=True)
class Histogram:
    """Weight along an axis: `weights` (..., 2, places), negatives first, lowest place first; `low`, `high` (places,)
    the ends of each place; `count` is the number of rows."""

    weights: Numbers
    low: Vector
    high: Vector
    count: int

    @property
    def negatives(self) -> Numbers:
        """Weight of the negatives at each place, (..., places)."""
        return self.weights[..., 0, :]

    @property
    def positives(self) -> Numbers:
        """Weight of the positives at each place, (..., places)."""
        return self.weights[..., 1, :]


class Ranked(NamedTuple):
    """Rows at their places: the histogram over the distinct places and the place of each row, (n,)."""

    histogram: Histogram
    place: NDArray[np.intp]


class RankMetric(Metric):
    """A metric whose sums are histograms; the file gives `of` and `moved`. Multiclass is one class against the rest,
    all classes alike."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary",)

    def questions(self, label: Vector, score: Numbers) -> list[Question]:
        """One for binary, one for each class for multiclass. What it says of a row depends on that row alone."""
        if score.ndim == 1:
            return [Question(label, score)]
        return [Question((label == c).astype(np.float64), score[:, c]) for c in range(score.shape[1])]

    @abstractmethod
    def of(self, rows: Histogram) -> Numbers:
        """The formula for one question, vectorised over leading axes."""

    @abstractmethod
    def moved(self, rows: Histogram, positive: Vector, place: NDArray[np.intp]) -> Vector:
        """The derivative of `of` by each row's weight, shape (n,)."""

    def over_classes(self, values: Numbers, positives: Numbers) -> Numbers:
        """One value of those of all questions, from the last axis; `positives`: the weight of each question's class."""
        return np.asarray(values.mean(axis=-1))

    def value(self, rows: list[Histogram]) -> Numbers:
        """The formula: values from the histograms of every question, vectorised over leading axes."""
        return self.over_classes(
            np.stack([self.of(one) for one in rows], axis=-1),
            np.stack([one.positives.sum(axis=-1) for one in rows], axis=-1),
        )

    def __call__(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> float:
        """See `Metric`."""
        return float(self.value([ranked(question, weight).histogram for question in self.questions(label, score)]))

    def influence(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> Vector:
        """See `Metric`."""
        questions = self.questions(label, score)
        return self.influence_at(questions, [ranked(question, weight) for question in questions], weight)

    def influence_at(self, questions: list[Question], ranks: list[Ranked], weight: Vector) -> Vector:
        """`influence`, of rows that are ranked already."""
        moved = [
            self.moved(rank.histogram, question.positive, rank.place)
            for question, rank in zip(questions, ranks, strict=True)
        ]
        return np.asarray(weight * np.mean(moved, axis=0))


def ranked(question: Question, weight: Vector) -> Ranked:
    """The rows at the distinct places of the axis."""
    order = np.argsort(question.along)
    along = question.along[order]
    new = np.concatenate([[True], along[1:] != along[:-1]]) if len(along) else np.empty(0, bool)
    distinct = along[new]
    del along  # millions of rows: what is not needed any more goes
    place = np.empty(len(order), np.intp)
    place[order] = np.cumsum(new) - 1
    del order, new
    return Ranked(
        Histogram(weigh(question.positive, place, weight, len(distinct)), distinct, distinct, len(place)), place
    )


def weigh(positive: Vector, place: NDArray[np.intp], weight: Vector, places: int) -> Numbers:
    """Weight at each place, of the negatives and of the positives; shape (2, places)."""
    return np.stack([np.bincount(place, weight * (positive == side), places) for side in (0, 1)])


def below(weights: Numbers) -> Numbers:
    """The weight below each place, that of the place itself counted half; along the last axis."""
    return np.asarray(np.cumsum(weights, axis=-1) - weights / 2)


def at_or_above(weights: Numbers) -> Numbers:
    """The weight at or above each place, along the last axis."""
    return np.asarray(np.cumsum(weights[..., ::-1], axis=-1)[..., ::-1])
