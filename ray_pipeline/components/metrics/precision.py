"""Precision."""

from typing import ClassVar

from ray_pipeline.components.metrics._averaged import Averaged
from ray_pipeline.components.metrics._base import Aliases


class Precision(Averaged):
    """Share of the selected rows that are positive; undefined where none is selected.

    Of many classes it is their average.
    """

    aliases: ClassVar[Aliases] = {
        "precision_macro": {"average": "macro"},
        "precision_micro": {"average": "micro"},
        "precision_weighted": {"average": "weighted"},
    }

    @property
    def is_share(self) -> bool:
        """An average of shares is none."""
        return self.average is None

    @property
    def factors(self) -> tuple[float, float]:
        """Of a row and of a decision."""
        return 0.0, 1.0
