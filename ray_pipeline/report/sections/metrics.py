"""Metrics, curves and decisions on the test part."""

import math

import numpy as np

from ray_pipeline.report import curves as points
from ray_pipeline.report import pictures
from ray_pipeline.report.format import (
    Context,
    better,
    format_count,
    format_interval,
    format_number,
    format_share,
    shorten,
)
from ray_pipeline.report.predictions import StoredPredictions
from ray_pipeline.report.run_files import Estimate, JsonObject, RunFiles, nested, number

MAX_CLASSES = 12


def context(files: RunFiles) -> Context:
    """Return every metric on the whole test part."""
    confidence = number(nested(files.spec, "evaluate").get("confidence"))
    return {
        "rows": [_metric(row) for row in files.evaluation if not row.get("slice")],
        "confidence": f"{100 * confidence:g} %" if math.isfinite(confidence) else "95 %",
        "missing": files.why_missing("evaluation.json"),
    }


def _metric(row: JsonObject) -> Context:
    estimate, direction = Estimate.of(row), better(str(row.get("metric")))
    return {
        "metric": row.get("metric"),
        "value": format_number(estimate.value),
        "interval": format_interval(estimate),
        "half": format_number((estimate.high - estimate.low) / 2),
        "better": f"{direction} is better" if direction else "",
        "rows": format_count(row.get("rows")),
    }


def curves(files: RunFiles) -> Context:
    """Return the curves of a binary model, or the residuals of a regression, and the confusion of the classes."""
    try:
        predictions = StoredPredictions.read(files)
    except ValueError as error:
        return {
            "pictures": [],
            "confusion": None,
            "weighted": False,
            "every": 1,
            "missing": [str(error)],
            "calibration": _calibration(files),
        }
    drawn = _pictures(predictions, files)
    return {
        "pictures": [(picture, title, caption) for picture, title, caption in drawn if picture],
        "confusion": _confusion(predictions, files),
        "weighted": predictions.weighted,
        "every": predictions.every,
        "missing": [
            f"{title}: not to be drawn from these rows (one class only, or nothing varies)"
            for picture, title, _ in drawn
            if not picture
        ],
        "calibration": _calibration(files),
    }


def _pictures(predictions: StoredPredictions, files: RunFiles) -> list[tuple[str | None, str, str]]:
    """Each picture of the task (None if these rows do not give it) with its title and its caption."""

    def note(*metrics: str) -> str:
        values = [(name, number(files.overall.get(name, {}).get("value"))) for name in metrics]
        return ", ".join(f"{name.replace('_', ' ')} {format_number(v)}" for name, v in values if math.isfinite(v))

    if predictions.task == "regression":
        right = "On the line the prediction is right; darker means more rows."
        too_low = "To the right of zero the model predicts too little."
        return [
            (pictures.actual_by_predicted(predictions), "Predicted and actual", right),
            (pictures.residuals(predictions), "Residuals", too_low),
        ]
    if predictions.task == "multiclass":
        return []
    dot = "The dot is the threshold in use."
    bins = "Bins of equally many rows, 95 % intervals; grey: how often scores occur."
    return [
        (pictures.roc(predictions, note("auc")), "ROC", dot),
        (pictures.precision_recall(predictions, note("average_precision")), "Precision and recall", dot),
        (pictures.reliability(predictions, note("ece", "brier")), "Reliability", bins),
    ]


def _calibration(files: RunFiles) -> str:
    """What calibration has changed on validation or out of fold, in a sentence; empty if the run does not say."""
    where = "out of fold" if files.calibration.get("on") == "folds" else "on validation"
    names = ("ece", "log_loss", "brier")
    rows = [nested(files.calibration, name) for name in names]
    changes = [
        (name, number(row.get("before")), number(row.get("after"))) for name, row in zip(names, rows, strict=True)
    ]
    if not all(math.isfinite(before + after) for _, before, after in changes):
        return ""
    if files.calibration.get("kind") == "none":
        values = ", ".join(f"{name} {format_number(before)}" for name, before, _ in changes)
        return f"Not calibrated; {where} {values}."
    moves = ", ".join(
        f"{name} from {format_number(before)} to {format_number(after)}" for name, before, after in changes
    )
    return f"Calibrated by {shorten(files.calibration.get('kind'), 30)} {where}, where it moved {moves}."


def _confusion(predictions: StoredPredictions, files: RunFiles) -> Context | None:
    """The rows of each class by decision, with shares of the class; at most the 12 largest classes."""
    if predictions.decision is None:
        return None
    named = predictions.task == "multiclass" or len(predictions.classes) == 2
    names = predictions.classes if named else ("negative", "positive")
    label = predictions.label.astype(np.int64)
    cells = points.confusion(label, predictions.decision, predictions.weight, len(names))
    left = max(len(names) - MAX_CLASSES, 0)
    if left:
        largest = np.sort(np.argsort(-cells.sum(axis=1), kind="stable")[:MAX_CLASSES])
        names, cells = tuple(names[i] for i in largest), cells[np.ix_(largest, largest)]
    rows = []
    for i, (name, line) in enumerate(zip(names, cells, strict=True)):
        total = line.sum()
        shown = [
            (format_count(n), format_share(n, total), "hit" if i == j else "miss", round(4 * n / total) if total else 0)
            for j, n in enumerate(line)
        ]
        rows.append((name, shown, format_count(total)))
    threshold = number(files.schema.get("threshold")) if predictions.task == "binary" else math.nan
    return {
        "names": names,
        "rows": rows,
        "threshold": format_number(threshold) if math.isfinite(threshold) else "",
        "left": left,
    }
