"""Area under the ROC curve."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics._base import Aliases, Numbers, Task, Vector, divide
from ray_pipeline.components.metrics._rank import Histogram, Question, Ranked, RankMetric, below


class AUC(RankMetric):
    """The chance that a random positive scores above a random negative, ties counting one half (Mann & Whitney, 1947).

    Multiclass: the mean over the classes, each against the rest; undefined where a class has no rows. `weighted` counts
    a class by its rows (scikit-learn's `roc_auc_ovr_weighted`).
    """

    aliases: ClassVar[Aliases] = {"auc_weighted": {"average": "weighted"}}
    tasks = ("binary", "multiclass")
    better = "higher"

    average: Literal["macro", "weighted"] = "macro"

    def fits(self, task: Task) -> bool:
        """Only many classes can be weighted."""
        return task == "multiclass" or (task == "binary" and self.average == "macro")

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

    def over_classes(self, values: Numbers, positives: Numbers) -> Numbers:
        """See `RankMetric`."""
        if self.average == "macro":
            return super().over_classes(values, positives)
        return divide((values * positives).sum(axis=-1), positives.sum(axis=-1))

    def influence_at(self, questions: list[Question], ranks: list[Ranked], weight: Vector) -> Vector:
        """See `RankMetric`; of a weighted mean, a row also moves the weight of its own class."""
        if self.average == "macro":
            return super().influence_at(questions, ranks, weight)
        values = np.stack([self.of(rank.histogram) for rank in ranks])
        positives = np.stack([rank.histogram.positives.sum() for rank in ranks])
        share = divide(positives, positives.sum())
        moved = sum(
            part * self.moved(rank.histogram, q.positive, rank.place)
            for part, rank, q in zip(share, ranks, questions, strict=True)
        )
        own = values @ np.stack([question.positive for question in questions])
        return np.asarray(weight * (moved + divide(own - values @ share, positives.sum())))
