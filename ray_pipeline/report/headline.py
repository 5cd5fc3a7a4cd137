"""The metric that the page leads with, and which direction of a metric is better."""

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.report.run_files import RunFiles, nested


def headline_metric(files: RunFiles) -> str:
    """Return the metric that the search has optimized, else the first of `evaluation.json`."""
    searched = nested(files.spec, "search").get("metric") or files.model.get("metric")
    return str(searched or next((row.get("metric") for row in files.evaluation), None) or "metric")


def better(metric: str) -> str:
    """Return `higher` or `lower`; an empty text if neither is better, or the metric is unknown.

    >>> better("auc"), better("log_loss"), better("no such metric")
    ('higher', 'lower', '')
    """
    try:
        choice = metric_of(metric)
    except ValueError:
        return ""
    return choice.better if choice.objective else ""
