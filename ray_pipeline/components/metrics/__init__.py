"""Metrics, one file each; the file's name is the word. Here: what is reported where the spec names none, by task; the
first is the search's."""

from collections.abc import Mapping

from ray_pipeline.values import Task

DEFAULTS: Mapping[Task, tuple[str, ...]] = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "balanced_accuracy"),
    "regression": ("rmse", "mae", "r2"),
}
BIAS_DEFAULTS: Mapping[Task, tuple[str, ...]] = {
    "binary": (
        "selection_rate",
        "true_positive_rate",
        "false_positive_rate",
        "precision",
        "mean_score",
        "label_rate",
        "mean_residual",
    ),
    "multiclass": ("accuracy",),
    "regression": ("rmse", "mean_residual"),
}
