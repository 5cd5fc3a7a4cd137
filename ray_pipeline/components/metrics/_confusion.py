"""The four cells that every metric of a decision is made of: true positives, false positives, false negatives, true
negatives."""

from typing import ClassVar

import numpy as np

from ray_pipeline.components.metrics._base import HALF, Numbers, ShareMetric, SumMetric, Task, Vector


class Confusion(SumMetric):
    """A binary metric of the decisions `score >= threshold`; the file gives `value` of (..., 4): tp, fp, fn, tn."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary",)
    decides = True

    @property
    def same_terms(self) -> object:
        """All of decisions."""
        return Confusion

    def terms(self, label: Vector, score: Numbers, threshold: float = HALF) -> Numbers:
        """One-hot cell of each row, shape (n, 4)."""
        positive, selected = label == 1, score >= threshold
        return np.stack(
            [positive & selected, ~positive & selected, positive & ~selected, ~positive & ~selected], axis=1
        ).astype(np.float64)


class Rate(Confusion, ShareMetric):
    """A share of rows by decision and label; the file gives `fraction` of (..., 4): tp, fp, fn, tn."""
