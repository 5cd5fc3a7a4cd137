"""No calibration: scores stay as the model gives them."""

from typing import Self

from ray_pipeline.components.calibrators._base import Calibrator, Scores


class Identity(Calibrator):
    """Returns its input; also what regression has."""

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """Nothing to learn."""
        return cls()

    def apply(self, score: Scores) -> Scores:
        """The scores themselves."""
        return score
