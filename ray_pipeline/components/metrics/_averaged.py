"""Precision, recall and F1 of many classes in one number: by class then averaged (macro, weighted), or of all decisions
at once (micro).

As in scikit-learn, a class that neither occurs nor is decided is left out, and one whose own value has no denominator
counts as 0.
"""

from typing import ClassVar, Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, SumMetric, divide
from ray_pipeline.values import Task, Vector


class Averaged(SumMetric):
    """A class's value is its rightly decided rows by `per_row` of its rows and `per_decision` of the rows decided so;
    the file gives these and `average`."""

    per_row: ClassVar[float]
    per_decision: ClassVar[float]
    average: ClassVar[Literal["macro", "micro", "weighted"]]
    tasks: ClassVar[tuple[Task, ...]] = ("multiclass",)
    better: ClassVar[Literal["lower", "higher"]] = "higher"

    @property
    def same_terms(self) -> object:
        """All of many classes."""
        return Averaged

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One-hot: rightly decided, the row's class, the decision; shape (n, 3 classes)."""
        one_hot, decision = np.eye(score.shape[1]), score.argmax(axis=1)
        is_class = one_hot[label.astype(np.intp)]
        return np.hstack([is_class * (decision == label)[:, None], is_class, one_hot[decision]])

    def value(self, sums: Numbers) -> Numbers:
        """See the module."""
        right, rows, decided = np.split(sums, 3, axis=-1)
        if self.average == "micro":
            return divide(
                right.sum(axis=-1), self.per_row * rows.sum(axis=-1) + self.per_decision * decided.sum(axis=-1)
            )
        of_class, share = self._of_class(right, rows, decided), self._share(rows, decided)
        return divide((share * of_class).sum(axis=-1), share.sum(axis=-1))

    def gradient(self, sums: Numbers) -> Numbers:
        """In closed form: a class that is never decided has a kink at 0, where finite steps go wrong."""
        right, rows, decided = np.split(sums, 3, axis=-1)
        if self.average == "micro":
            right, rows, decided = (
                np.broadcast_to(part.sum(axis=-1, keepdims=True), part.shape) for part in (right, rows, decided)
            )
            share = np.ones_like(rows)
            total = np.ones_like(rows[..., :1])
        else:
            share = self._share(rows, decided)
            total = share.sum(axis=-1, keepdims=True)
        whole = self.per_row * rows + self.per_decision * decided
        by_right, by_whole = np.nan_to_num(divide(1, whole)) * share, -np.nan_to_num(divide(right, whole**2)) * share
        by_rows = self.per_row * by_whole
        if self.average == "weighted":
            by_rows = by_rows + self._of_class(right, rows, decided) - self.value(sums)[..., None]
        return divide(np.concatenate([by_right, by_rows, self.per_decision * by_whole], axis=-1), total)

    def _of_class(self, right: Numbers, rows: Numbers, decided: Numbers) -> Numbers:
        return np.nan_to_num(divide(right, self.per_row * rows + self.per_decision * decided))

    def _share(self, rows: Numbers, decided: Numbers) -> Numbers:
        """How much each class counts."""
        return rows if self.average == "weighted" else ((rows > 0) | (decided > 0)).astype(np.float64)
