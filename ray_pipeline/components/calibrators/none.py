"""No calibration: scores stay as the model gives them."""

from typing import Self

from ray_pipeline.components.calibrators._base import Calibrator, Scores


class Identity(Calibrator):
    """Returns its input; a regression has no other."""

    @classmethod
    def fit(cls, label: Scores, score: Scores, weight: Scores) -> Self:
        """Return the identity, which has nothing to fit."""
        return cls()

    def apply(self, score: Scores) -> Scores:
        """Return the scores."""
        return score
