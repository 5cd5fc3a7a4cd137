"""A metric is a vector of sums over rows and a formula, so that blocks, slices and bootstrap draws merge by adding.

SumMetric    the sums are totals of a few per-row terms
MeanMetric   a SumMetric: the mean of one number for each row (log loss, errors)
ShareMetric  a SumMetric: a share of rows, so in [0, 1] (rates)
RankMetric   the sums are histograms along an axis, of positives and of negatives (AUC, quantiles of the error; see
             `_rank.py`)

All say how much each row moves the value (`influence`), which gives the variance of a slice without any resampling.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from ray_pipeline.components.choice import Choice, name_of
from ray_pipeline.components.choice_text import write_choice
from ray_pipeline.components.own_code import returns, wrong_shape
from ray_pipeline.values import Task, Vector

__all__ = ["HALF", "Aliases", "MeanMetric", "Metric", "Numbers", "ShareMetric", "SumMetric", "Task", "Vector", "divide"]

Aliases = Mapping[str, Mapping[str, Any]]
Numbers = NDArray[np.float64]
HALF = 0.5
ROWS_PER_CHUNK = 131_072
"""Rows whose terms are in memory; a metric may have tens of terms for each row."""


class Metric(Choice, ABC):
    """What a file in this folder declares; its fields are its parameters. Undefined values are NaN.

    A class derives from one of the classes that the module names, which know how values merge over blocks and draws.
    """

    tasks: ClassVar[tuple[Task, ...]]
    better: ClassVar[Literal["lower", "higher"]]
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    decides: ClassVar[bool] = False
    """Whether it measures decisions, so that a threshold can be chosen by it."""
    objective: ClassVar[bool] = True
    """Whether more or less of it is good; else only gaps between groups mean something."""
    of_regions: ClassVar[bool] = False
    """Whether it measures intervals or sets: what it takes as scores are then `Regions.measures`, shape (n, 2)."""
    aliases: ClassVar[Aliases] = {}
    """Short names, and the parameters that each stands for."""

    _word: str = PrivateAttr(default="")

    @property
    def name(self) -> str:
        """The word or alias that was written, with the parameters that differ from what it stands for alone."""
        word = self._word or name_of(type(self))
        fields = type(self).model_fields.items()
        alone = {name: field.default for name, field in fields if not field.is_required()}
        alone.update(self.aliases.get(word, {}))
        written = self.model_dump(mode="json")
        changed = {name: written[name] for name, _ in fields if name not in alone or getattr(self, name) != alone[name]}
        return write_choice(word, changed)

    @property
    def sign(self) -> float:
        """The factor that makes higher values the better ones."""
        return 1.0 if self.better == "higher" else -1.0

    @property
    def is_share(self) -> bool:
        """Whether it is a share of rows, whose interval stays within [0, 1]."""
        return False

    def fits(self, task: Task) -> bool:
        """Whether it measures models of that task."""
        return task in self.tasks

    @classmethod
    def unfit(cls) -> str | None:
        """A metric whose values cannot be merged cannot be evaluated."""
        return None if hasattr(cls, "value") else "derives from neither SumMetric, ShareMetric nor RankMetric"

    @abstractmethod
    def __call__(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> float:
        """The exact value on the given rows; NaN where it is undefined.

        Parameters
        ----------
        label
            0 or 1, an index of a class, or a number; shape (n,).
        score
            The probability of the positive class or a number, shape (n,); or of all classes, shape (n, classes).
        weight
            At least 0; shape (n,).
        threshold
            Binary decisions are `score >= threshold`. Other metrics ignore it.
        """

    @abstractmethod
    def influence(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> Vector:
        """How much each row moves the value, shape (n,). Over independent rows its squares sum to the variance."""


class SumMetric(Metric):
    """A metric whose sums are totals of per-row terms; the file gives `terms` and `value`."""

    centred: ClassVar[bool] = False
    """Whether the terms lose digits unless the mean label is near 0. The value must not change if a constant is
    subtracted from labels and predictions alike: the mean label is, before terms are made."""

    @property
    def same_terms(self) -> object:
        """Metrics with equal answers have the same terms, which are made only once."""
        return type(self), repr(self)

    @returns(lambda terms, metric, label, *_, **__: wrong_shape(terms, len(label), None))
    @abstractmethod
    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """What each row of weight 1 adds to the sums; shape (n, k)."""

    @returns(lambda value, metric, sums: wrong_shape(np.asarray(value), *sums.shape[:-1]))
    @abstractmethod
    def value(self, sums: Numbers) -> Numbers:
        """The formula: values from sums, vectorised over leading axes."""

    def sums(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> Numbers:
        """The sums of the given rows, shape (k,); those of a union of rows are their sum."""
        total = weight[:0] @ self.terms(label[:0], score[:0], threshold)
        for low in range(0, len(label), ROWS_PER_CHUNK):
            rows = slice(low, low + ROWS_PER_CHUNK)
            total = total + weight[rows] @ self.terms(label[rows], score[rows], threshold)
        return np.asarray(total)

    def __call__(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> float:
        """See `Metric`."""
        label, score = self.near_zero(label, score, weight)
        return float(self.value(self.sums(label, score, weight, threshold)))

    def near_zero(self, label: Vector, score: Numbers, weight: Vector) -> tuple[Vector, Numbers]:
        """Labels and predictions less the mean label, if the metric is `centred`; else as they are."""
        return without_mean(label, score, weight, np.zeros(len(label), np.intp)) if self.centred else (label, score)

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """The part and the whole of a share, both linear in the sums."""
        raise NotImplementedError

    def gradient(self, sums: Numbers) -> Numbers:
        """The derivative of `value` by each sum, shape (..., k), by central differences (relative error about 1e-8)."""
        scale = np.where(sums == 0, np.abs(sums).max(axis=-1, keepdims=True), np.abs(sums))
        step = 1e-6 * np.where(scale == 0, 1.0, scale)
        columns = []
        for j in range(sums.shape[-1]):
            one = np.zeros_like(sums)
            one[..., j] = step[..., j]
            columns.append((self.value(sums + one) - self.value(sums - one)) / (2 * step[..., j]))
        return np.stack(columns, axis=-1)

    def influence(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> Vector:
        """See `Metric`; every formula here is homogeneous of degree 0, so that influences sum to 0 (Euler)."""
        terms = self.terms(*self.near_zero(label, score, weight), threshold)
        return np.asarray(weight * (terms @ self.gradient(weight @ terms)))


class MeanMetric(SumMetric):
    """The mean of one number for each row; the file gives `per_row`."""

    @returns(lambda numbers, metric, label, *_, **__: wrong_shape(numbers, len(label)))
    @abstractmethod
    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The number of each row, shape (n,). Metrics of decisions use the threshold."""

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One and the row's number, shape (n, 2)."""
        return np.stack([np.ones(len(label)), self.per_row(label, score, threshold)], axis=1)

    def value(self, sums: Numbers) -> Numbers:
        """From total weight and total number."""
        return divide(sums[..., 1], sums[..., 0])


class ShareMetric(SumMetric):
    """A share of some of the rows; the file gives `terms` and `fraction`."""

    @property
    def is_share(self) -> bool:
        """Always."""
        return True

    @abstractmethod
    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """The part and the whole, both linear in the sums."""

    def value(self, sums: Numbers) -> Numbers:
        """Part by whole."""
        return divide(*self.fraction(sums))


def without_mean(label: Vector, score: Numbers, weight: Vector, group: NDArray[np.intp]) -> tuple[Vector, Numbers]:
    """Labels and predictions, less the mean label of each row's group.

    Parameters
    ----------
    label, score, weight
        Shape (n,).
    group
        The group of each row, from 0 on; shape (n,).

    Examples
    --------
    >>> label, score = without_mean(np.array([7.0, 9.0]), np.array([8.0, 8.0]), np.ones(2), np.zeros(2, np.intp))
    >>> label.tolist(), score.tolist()
    ([-1.0, 1.0], [0.0, 0.0])
    """
    groups = int(group.max(initial=-1)) + 1
    least = np.full(groups, np.inf)
    np.minimum.at(least, group, label)  # a first constant: sums of labels far from 0 lose digits themselves
    above = np.bincount(group, weight * (label - least[group]), groups)
    with np.errstate(invalid="ignore"):
        mean = least + np.nan_to_num(divide(above, np.bincount(group, weight, groups)))
    return label - mean[group], score - mean[group]


def divide(numerator: Any, denominator: Any) -> Numbers:
    """Elementwise quotient, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0))
