"""Area under the ROC curve."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Numbers, divide
from ray_pipeline.components.metrics._rank import Histogram, RankMetric, below
from ray_pipeline.values import Task, Vector


class AUC(RankMetric):
    """The chance that a random positive scores above a random negative, ties counting one half (Mann & Whitney, 1947).

    Multiclass: the mean over the classes, each against the rest; undefined where a class has no rows.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def of(self, rows: Histogram) -> Numbers:
        """See `RankMetric`; rows of one place count as ties."""
        won = (rows.positives * below(rows.negatives)).sum(axis=-1)
        return divide(won, rows.negatives.sum(axis=-1) * rows.positives.sum(axis=-1))

    def moved(self, rows: Histogram, positive: Vector, place: NDArray[np.intp]) -> Vector:
        """Each row's share of pairs won, against the mean (DeLong, DeLong & Clarke-Pearson, 1988)."""
        negatives, positives, value = rows.negatives.sum(), rows.positives.sum(), self.of(rows)
        of_positives = divide(divide(below(rows.negatives), negatives) - value, positives)
        of_negatives = divide(1 - divide(below(rows.positives), positives) - value, negatives)
        return np.where(positive == 1, of_positives[place], of_negatives[place])
