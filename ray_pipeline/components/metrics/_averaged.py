"""Precision, recall and their F-measure: of decisions in two classes, or of many classes in one number.

Many classes are averaged: by class (macro, weighted), or all decisions at once (micro). As in scikit-learn, a class
that neither occurs nor is decided is left out, and a class whose own value has no denominator counts as 0.
"""

from typing import Literal

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, Task, Vector, divide
from ray_pipeline.components.metrics._confusion import Confusion


class Averaged(Confusion):
    """A weighted harmonic mean of recall and precision; `factors` say how much each counts."""

    average: Literal["macro", "micro", "weighted"] | None = None
    """How the classes of a multiclass model are averaged; None for a binary model."""
    tasks = ("binary", "multiclass")
    better = "higher"

    @property
    def factors(self) -> tuple[float, float]:
        """How much the rows of a class count, which recall divides by, and how much the decisions for it."""
        raise NotImplementedError

    def fits(self, task: Task) -> bool:
        """Two classes need no average, many classes need one."""
        return task == ("multiclass" if self.average else "binary")

    @property
    def same_terms(self) -> object:
        """All averages have the same terms."""
        return Averaged if self.average else super().same_terms

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One-hot cell, shape (n, 4); of many classes the hit, the row's class and the decision, (n, 3 classes)."""
        if self.average is None:
            return super().terms(label, score, threshold)
        one_hot, decision = np.eye(score.shape[1]), score.argmax(axis=1)
        is_class = one_hot[label.astype(np.intp)]
        return np.hstack([is_class * (decision == label)[:, None], is_class, one_hot[decision]])

    def fraction(self, sums: Numbers) -> tuple[Numbers, Numbers]:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fp, fn = sums[..., 0], sums[..., 1], sums[..., 2]
        per_row, per_decision = self.factors
        hits = (per_row + per_decision) * tp
        return hits, hits + per_row * fn + per_decision * fp

    def value(self, sums: Numbers) -> Numbers:
        """See the module."""
        if self.average is None:
            return divide(*self.fraction(sums))
        right, rows, decided = np.split(sums, 3, axis=-1)
        if self.average == "micro":
            right, rows, decided = (part.sum(axis=-1) for part in (right, rows, decided))
            return divide(*self._of_class(right, rows, decided))
        share = self._share(rows, decided)
        return divide((share * self._values(right, rows, decided)).sum(axis=-1), share.sum(axis=-1))

    def gradient(self, sums: Numbers) -> Numbers:
        """In closed form for many classes: a class that is never decided has a kink at 0, where finite steps fail."""
        if self.average is None:
            return super().gradient(sums)
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
        per_row, per_decision = self.factors
        hits, whole = self._of_class(right, rows, decided)
        by_right, by_whole = (
            np.nan_to_num(divide(per_row + per_decision, whole)) * share,
            -np.nan_to_num(divide(hits, whole**2)) * share,
        )
        by_rows = per_row * by_whole
        if self.average == "weighted":
            by_rows = by_rows + self._values(right, rows, decided) - self.value(sums)[..., None]
        return divide(np.concatenate([by_right, by_rows, per_decision * by_whole], axis=-1), total)

    def _of_class(self, right: Numbers, rows: Numbers, decided: Numbers) -> tuple[Numbers, Numbers]:
        per_row, per_decision = self.factors
        return (per_row + per_decision) * right, per_row * rows + per_decision * decided

    def _values(self, right: Numbers, rows: Numbers, decided: Numbers) -> Numbers:
        return np.nan_to_num(divide(*self._of_class(right, rows, decided)))

    def _share(self, rows: Numbers, decided: Numbers) -> Numbers:
        """How much each class counts."""
        return rows if self.average == "weighted" else ((rows > 0) | (decided > 0)).astype(np.float64)
