"""Mean residual."""

from ray_pipeline.components.metrics._base import HALF, MeanMetric, Numbers, Vector


class MeanResidual(MeanMetric):
    """Mean of label minus prediction: above 0 where the model predicts too little; of probabilities, calibration in the
    large. It has no best direction."""

    tasks = ("binary", "regression")
    better = "lower"
    range = (float("-inf"), float("inf"))
    objective = False

    def per_row(self, label: Vector, score: Numbers, threshold: float = HALF) -> Vector:
        """The residual of each row."""
        return label - score
