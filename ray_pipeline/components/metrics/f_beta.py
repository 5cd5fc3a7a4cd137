"""F-beta: precision and recall in one number."""

from typing import Annotated, ClassVar

from pydantic import Field

from ray_pipeline.components.metrics._averaged import Averaged
from ray_pipeline.components.metrics._base import Aliases


class FBeta(Averaged):
    """Harmonic mean of precision and recall, recall counting `beta` squared times (van Rijsbergen, 1979).

    It is undefined where no row is positive or selected.
    """

    aliases: ClassVar[Aliases] = {
        "f1": {"beta": 1},
        "f2": {"beta": 2},
        "f0_5": {"beta": 0.5},
        "f1_macro": {"beta": 1, "average": "macro"},
        "f1_micro": {"beta": 1, "average": "micro"},
        "f1_weighted": {"beta": 1, "average": "weighted"},
    }

    beta: Annotated[float, Field(gt=0)]
    """Above 1 a missed positive costs more, below 1 a false alarm."""

    @property
    def factors(self) -> tuple[float, float]:
        """Of a row and of a decision."""
        return self.beta**2, 1.0
