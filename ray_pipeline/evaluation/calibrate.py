"""What validation decides after the search: how raw scores become probabilities, and from which score on a row is
selected."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ray_pipeline.components.calibrators._base import Calibrator, candidates, fit_calibrator
from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import Numbers, SumMetric
from ray_pipeline.components.metrics.log_loss import LogLoss
from ray_pipeline.errors import Problem, SpecError
from ray_pipeline.hashing import mix
from ray_pipeline.values import Predictions, Vector

FOLDS = 5
Z_99 = 2.576  # standard errors: label rates further apart than this differ beyond noise (two-sided 99 %)


def calibrate(validation: Predictions, how: str, *, same_rates: bool) -> Calibrator:
    """The calibrator fitted on the validation part.

    `auto` takes the kind of the least cross-validated log loss, if it beats the raw scores by more than a standard
    error, else none;
    and none where the label rates of the parts differ (`same_rates` false), since the scores of such a part mean
    something else.
    """
    none: Calibrator = find("calibrators", "none")()
    if validation.task == "regression" or how == "none" or (how == "auto" and not same_rates):
        return none
    label, score, weight = validation.label, validation.score, validation.weight
    if how != "auto":
        return fit_calibrator(how, label, score, weight)
    losses = {kind: _held_out_losses(validation, kind) for kind in candidates()}
    losses = {kind: loss for kind, loss in losses.items() if np.isfinite(loss).all()}
    if not losses:
        return none
    raw = _losses(label, score)
    kind = min(losses, key=lambda kind: float(weight @ losses[kind]))
    gained = weight * (raw - losses[kind])
    by_cluster = np.bincount(np.unique(validation.cluster, return_inverse=True)[1], gained)
    error = float(np.sqrt(((by_cluster - by_cluster.mean()) ** 2).sum()))
    return fit_calibrator(kind, label, score, weight) if gained.sum() > error else none


def rates_agree(a_rate: ArrayLike, a_rows: float, b_rate: ArrayLike, b_rows: float) -> bool:
    """Whether the label rates of two parts differ by no more than noise; for multiclass, the rates of all classes."""
    a, b = np.atleast_1d(np.asarray(a_rate, np.float64)), np.atleast_1d(np.asarray(b_rate, np.float64))
    pooled = (a * a_rows + b * b_rows) / (a_rows + b_rows)
    error = np.sqrt(pooled * (1 - pooled) * (1 / a_rows + 1 / b_rows))
    return bool((np.abs(a - b) <= Z_99 * error).all())


def choose_threshold(validation: Predictions, rule: Any) -> float | None:
    """The score from which on a row is selected; None unless the task is binary.

    Args:
        validation: calibrated scores of the validation part.
        rule: None (0.5), a number, {"maximize": METRIC}, {"minimize": METRIC} or {"cost": {"false_positive": …,
            "false_negative": …}};
            the metric is one of decisions. Of equal thresholds the one nearest 0.5 is taken.

    Raises:
        SpecError: the rule asks for the best of a metric that does not depend on the threshold.
    """
    if validation.task != "binary":
        return None
    if rule is None or isinstance(rule, int | float):
        return 0.5 if rule is None else float(rule)
    asked = rule if isinstance(rule, Mapping) else rule.model_dump(exclude_none=True)
    cuts, cells = _cells_by_cut(validation)
    ((goal, what),) = asked.items()
    if goal == "cost":
        prices = what if isinstance(what, Mapping) else what.model_dump()
        value = -(prices["false_positive"] * cells[:, 1] + prices["false_negative"] * cells[:, 2])
    else:
        value = _values(what, cells) * (1 if goal == "maximize" else -1)
    if not np.isfinite(value).any():
        return 0.5
    best = np.flatnonzero(value >= np.nanmax(value))
    return float(cuts[best[np.abs(cuts[best] - 0.5).argmin()]])


def _values(word: str, cells: Numbers) -> Numbers:
    """The metric at each threshold, from the cells alone: one row of each kind says what a row adds."""
    metric = metric_of(word)
    if not (isinstance(metric, SumMetric) and metric.decides and metric.fits("binary")):
        found = f"{word!r} does not depend on the threshold"
        raise SpecError(
            Problem(
                key="evaluate.threshold",
                found=found,
                fix="take a metric of decisions, such as f1, mcc or balanced_accuracy",
            )
        )
    label, decision = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])
    return np.asarray(metric.value(cells @ metric.terms(label, decision)))


def _cells_by_cut(rows: Predictions) -> tuple[Vector, Numbers]:
    """Thresholds between all neighbouring scores, and the tp, fp, fn, tn of each; shapes (m,) and (m, 4)."""
    distinct, place = np.unique(rows.score, return_inverse=True)
    positives, negatives = (np.bincount(place, rows.weight * (rows.label == side), len(distinct)) for side in (1, 0))
    cuts = np.concatenate([distinct[:1], (distinct[1:] + distinct[:-1]) / 2])
    tp, fp = (np.cumsum(side[::-1])[::-1] for side in (positives, negatives))
    return cuts, np.stack([tp, fp, positives.sum() - tp, negatives.sum() - fp], axis=1)


def _losses(label: Vector, score: Numbers) -> Vector:
    return LogLoss().terms(label, score)[:, 1]


def _held_out_losses(rows: Predictions, kind: str) -> Vector:
    """The log loss of each row, calibrated without its fold (NaN where that has too few classes); a cluster lies in one
    fold."""
    fold = mix(rows.cluster) % np.uint64(FOLDS)
    losses = np.full(len(rows), np.nan)
    for held_out in range(FOLDS):
        inside, outside = fold == held_out, fold != held_out
        if inside.any() and len(np.unique(rows.label[outside])) == len(np.unique(rows.label)):
            fitted = fit_calibrator(kind, rows.label[outside], rows.score[outside], rows.weight[outside])
            losses[inside] = _losses(rows.label[inside], fitted.apply(rows.score[inside]))
    return losses
