"""The decision threshold: from which score on a row is selected. Chosen on the calibrated validation part."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import Numbers, SumMetric
from ray_pipeline.errors import Problem, SpecError
from ray_pipeline.values import Predictions, Vector


def choose_threshold(validation: Predictions, rule: Any) -> float | None:
    """Choose the score from which on a row is selected.

    Parameters
    ----------
    validation
        The validation part with calibrated scores.
    rule
        None (0.5), a number, {"maximize": METRIC}, {"minimize": METRIC} or {"cost": {"false_positive": …,
        "false_negative": …}}; the metric must depend on decisions.

    Returns
    -------
    The threshold; None unless the task is binary. Of equally good thresholds, the one nearest to 0.5.

    Raises
    ------
    SpecError
        The metric does not depend on the threshold.
    """
    if validation.task != "binary":
        return None
    if rule is None or isinstance(rule, int | float):
        return 0.5 if rule is None else float(rule)
    ((goal, target),) = _plain(rule).items()
    thresholds, cells = _cells_by_threshold(validation)
    if goal == "cost":
        costs = _plain(target)
        value = -(costs["false_positive"] * cells[:, 1] + costs["false_negative"] * cells[:, 2])
    else:
        value = _values(target, cells) * (1 if goal == "maximize" else -1)
    if not np.isfinite(value).any():
        return 0.5
    best = thresholds[value >= np.nanmax(value)]
    return float(best[np.abs(best - 0.5).argmin()])


def _plain(section: Any) -> Mapping[str, Any]:
    """A section of the spec, or a mapping, as a mapping without what was not given."""
    return section if isinstance(section, Mapping) else section.model_dump(exclude_none=True)


def _values(name: str, cells: Numbers) -> Numbers:
    """The metric at each threshold: its terms are sums over rows, and all rows of one cell have the same terms."""
    metric = metric_of(name)
    if not (isinstance(metric, SumMetric) and metric.decides and metric.fits("binary")):
        raise SpecError(
            Problem(
                key="evaluate.threshold",
                found=f"{name!r} does not depend on the threshold",
                fix="take a metric of decisions, such as f1, mcc or balanced_accuracy",
            )
        )
    label, decision = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])
    return np.asarray(metric.value(cells @ metric.terms(label, decision)))


def _cells_by_threshold(rows: Predictions) -> tuple[Vector, Numbers]:
    """Thresholds between neighbouring scores, lowest first, shape (m,); the weights of tp, fp, fn, tn, shape (m, 4)."""
    from sklearn.metrics import confusion_matrix_at_thresholds

    tn, fp, fn, tp, scores = confusion_matrix_at_thresholds(rows.label, rows.score, sample_weight=rows.weight)
    thresholds = (scores + np.append(scores[1:], scores[-1])) / 2
    return thresholds[::-1], np.column_stack([tp, fp, fn, tn])[::-1]
