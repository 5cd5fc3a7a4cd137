"""Area under the ROC curve, classes weighted by their rows."""

from typing import ClassVar

import numpy as np

from ray_pipeline.components.metrics._base import Numbers, divide
from ray_pipeline.components.metrics._rank import Question, Ranked
from ray_pipeline.components.metrics.auc import AUC
from ray_pipeline.values import Task, Vector


class AUCWeighted(AUC):
    """Mean over the classes, each against the rest, weighted by the class's rows (scikit-learn's
    `roc_auc_ovr_weighted`)."""

    tasks: ClassVar[tuple[Task, ...]] = ("multiclass",)

    def average(self, values: Numbers, positives: Numbers) -> Numbers:
        """See `RankMetric`."""
        return divide((values * positives).sum(axis=-1), positives.sum(axis=-1))

    def influence_at(self, questions: list[Question], ranks: list[Ranked], weight: Vector) -> Vector:
        """See `RankMetric`: a row also moves the weight of its own class."""
        values = np.stack([self.of(rank.histogram) for rank in ranks])
        positives = np.stack([rank.histogram.positives.sum() for rank in ranks])
        share = divide(positives, positives.sum())
        moved = sum(
            part * self.moved(rank.histogram, q.positive, rank.place)
            for part, rank, q in zip(share, ranks, questions, strict=True)
        )
        own = values @ np.stack([question.positive for question in questions])
        return np.asarray(weight * (moved + divide(own - values @ share, positives.sum())))
