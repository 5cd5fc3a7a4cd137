"""Lift at 1 %."""

from typing import ClassVar

from ray_pipeline.components.metrics._lift import Lift


class LiftAt1(Lift):
    """How many times more positives are among the 1 % of the rows that score highest than among all."""

    share: ClassVar[float] = 0.01
