"""Mean score."""

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class MeanScore(MeanMetric):
    """Mean probability of the positive class; neither more nor less of it is good, only gaps between groups mean
    something."""

    tasks = ("binary",)
    better = "higher"
    objective = False

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The score of each row."""
        return score
