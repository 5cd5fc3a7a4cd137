"""Recall, the same number as the true positive rate."""

from typing import ClassVar

from ray_pipeline.components.metrics._averaged import Averaged
from ray_pipeline.components.metrics._base import Aliases


class Recall(Averaged):
    """Share of the positive rows that are selected; undefined where none is positive.

    Of many classes it is their average.
    """

    aliases: ClassVar[Aliases] = {
        "recall_macro": {"average": "macro"},
        "recall_micro": {"average": "micro"},
        "recall_weighted": {"average": "weighted"},
    }

    @property
    def is_share(self) -> bool:
        """An average of shares is none."""
        return self.average is None

    @property
    def factors(self) -> tuple[float, float]:
        """Of a row and of a decision."""
        return 1.0, 0.0
