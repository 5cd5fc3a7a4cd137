"""A metric is a vector of sums over rows and a formula, so that blocks, slices and bootstrap draws merge by adding.

SumMetric    the sums are totals of a few terms of each row (log loss, errors)
ShareMetric  a SumMetric that is a share of rows, so in [0, 1] (rates)
RankMetric   the sums are histograms along an axis, of positives and of negatives (`_rank.py`: AUC, quantiles)
All of them say how much each row moves the value (`influence`): the variance of a slice needs no resampling.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from ray_pipeline.components.choice import Choice, name_of
from ray_pipeline.components.choice_text import write_choice
from ray_pipeline.values import Task, Vector

Numbers = NDArray[np.float64]
HALF = 0.5


class Metric(Choice, ABC):
    """What a file in this folder declares; its fields are its parameters. Undefined values are NaN.

    A class derives from `SumMetric`, `ShareMetric` or `RankMetric`, which know how values merge over blocks and draws.
    """

    tasks: ClassVar[tuple[Task, ...]]
    better: ClassVar[Literal["lower", "higher"]]
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    decides: ClassVar[bool] = False
    """Whether it measures decisions, so that a threshold can be chosen by it."""
    objective: ClassVar[bool] = True
    """Whether more or less of it is good; else only gaps between groups mean something."""
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
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

    @property
    def same_terms(self) -> object:
        """Metrics with equal answers have the same terms, which are made only once."""
        return type(self), repr(self)

    @abstractmethod
    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """What each row of weight 1 adds to the sums; shape (n, k)."""

    @abstractmethod
    def value(self, sums: Numbers) -> Numbers:
        """The formula: values from sums, vectorised over leading axes."""

    def sums(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> Numbers:
        """The sums of the given rows, shape (k,); those of a union of rows are their sum."""
        return np.asarray(weight @ self.terms(label, score, threshold))

    def __call__(self, label: Vector, score: Numbers, weight: Vector, threshold: float = HALF) -> float:
        """See `Metric`."""
        return float(self.value(self.sums(label, score, weight, threshold)))

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
        terms = self.terms(label, score, threshold)
        return np.asarray(weight * (terms @ self.gradient(weight @ terms)))


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


def divide(numerator: Any, denominator: Any) -> Numbers:
    """Elementwise quotient, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0))
