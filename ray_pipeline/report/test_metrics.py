"""What was measured on the test part, as plain values for the template: metrics, curves, slices, bias."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.report import curves, pictures
from ray_pipeline.report.format import brief, count, crossed, figure, interval, share
from ray_pipeline.report.predictions import Scored
from ray_pipeline.report.run_files import Row, RunFiles, number, section
from ray_pipeline.report.sections import View
from ray_pipeline.report.svg import Range, padded, tick_label, whisker

MAX_SLICES = 30  # of one slicing; the worst come first, so the best are left out
MAX_CLASSES = 12


def better(metric: str) -> str:
    """`higher` or `lower`, as the metric's file says; `` where neither is good or the metric is unknown."""
    try:
        found = metric_of(metric)
    except ValueError:
        return ""
    return found.better if found.objective else ""


def headline(files: RunFiles) -> str:
    """The metric that the search looked at, else the first that was measured."""
    named = section(files.spec, "search").get("metric") or files.model.get("metric")
    return str(named or next((row.get("metric") for row in files.evaluation), None) or "metric")


def metrics(files: RunFiles) -> View:
    """Every metric on the whole test part."""
    rows = [
        {
            "metric": row.get("metric"),
            "value": figure(number(row.get("value"))),
            "interval": interval(number(row.get("low")), number(row.get("high"))),
            "half": figure((number(row.get("high")) - number(row.get("low"))) / 2),
            "better": (
                {"higher": "higher is better", "lower": "lower is better"}.get(better(str(row.get("metric"))), "")
            ),
            "rows": count(number(row.get("rows"))),
        }
        for row in files.evaluation
        if not row.get("slice")
    ]
    confidence = number(section(files.spec, "evaluate").get("confidence"))
    return {
        "rows": rows,
        "confidence": f"{100 * confidence:g} %" if math.isfinite(confidence) else "95 %",
        "missing": _absent(files, "evaluation.json"),
    }


def drawn(files: RunFiles) -> View:
    """The curves of a binary model, the residuals of a regression, the confusion of classes."""
    try:
        scored = Scored.read(files)
    except ValueError as problem:
        return {
            "pictures": [],
            "confusion": None,
            "weighted": False,
            "missing": [str(problem)],
            "calibration": _calibration(files),
        }
    value = {str(row.get("metric")): number(row.get("value")) for row in files.evaluation if not row.get("slice")}

    def said(*names: str) -> str:
        return ", ".join(
            f"{name.replace('_', ' ')} {figure(value[name])}"
            for name in names
            if math.isfinite(value.get(name, math.nan))
        )

    if scored.task == "regression":
        found = [
            (
                pictures.predicted(scored),
                "Predicted and actual",
                "On the line the prediction is right; darker means more rows.",
            ),
            (pictures.residuals(scored), "Residuals", "To the right of zero the model predicts too little."),
        ]
    elif scored.task == "binary":
        found = [
            (pictures.roc(scored, said("auc")), "ROC", "The dot is the threshold in use."),
            (
                pictures.precision_recall(scored, said("average_precision")),
                "Precision and recall",
                "The dot is the threshold in use.",
            ),
            (
                pictures.reliability(scored, said("ece", "brier")),
                "Reliability",
                "Bins of equally many rows, 95 % intervals; grey: how often scores occur.",
            ),
        ]
    else:
        found = []
    shown = [(picture, title, words) for picture, title, words in found if picture]
    absent = [
        f"{title}: not to be drawn from these rows (one class only, or nothing varies)"
        for picture, title, _ in found
        if not picture
    ]
    return {
        "pictures": shown,
        "confusion": _confusion(scored, files),
        "weighted": scored.weighted,
        "missing": absent,
        "calibration": _calibration(files),
    }


def _calibration(files: RunFiles) -> str:
    """What calibration changed on validation, in a sentence; empty where the run does not say."""
    told = files.calibrated
    changes = [
        (name, number(section(told, name).get("before")), number(section(told, name).get("after")))
        for name in ("ece", "log_loss", "brier")
    ]
    if not all(math.isfinite(before + after) for _, before, after in changes):
        return ""
    if told.get("kind") == "none":
        return (
            "Not calibrated; on validation "
            + ", ".join(f"{name} {figure(before)}" for name, before, _ in changes)
            + "."
        )
    words = ", ".join(f"{name} from {figure(before)} to {figure(after)}" for name, before, after in changes)
    return f"Calibrated by {brief(told.get('kind'), 30)} on validation, where it moved {words}."


def _confusion(scored: Scored, files: RunFiles) -> View | None:
    if scored.decision is None:
        return None
    names = scored.classes if scored.task == "multiclass" or len(scored.classes) == 2 else ("negative", "positive")
    cells = curves.confusion(scored.label.astype(np.int64), scored.decision, scored.weight, len(names))
    left = max(len(names) - MAX_CLASSES, 0)
    if left:
        largest = np.sort(np.argsort(-cells.sum(axis=1), kind="stable")[:MAX_CLASSES])
        names, cells = tuple(names[i] for i in largest), cells[np.ix_(largest, largest)]
    rows = []
    for i, (name, line) in enumerate(zip(names, cells, strict=True)):
        total = line.sum()
        shown = [
            (count(n), share(n, total), "hit" if i == j else "miss", round(4 * n / total) if total else 0)
            for j, n in enumerate(line)
        ]
        rows.append((name, shown, count(total)))
    threshold = number(files.schema.get("threshold"))
    return {
        "names": names,
        "rows": rows,
        "threshold": figure(threshold) if math.isfinite(threshold) and scored.task == "binary" else "",
        "left": left,
    }


def slices(files: RunFiles, metric: str) -> View:
    """One table for each slicing, worst value of the headline metric first, all on one axis."""
    measured: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, Row]]] = {}
    for row in files.evaluation:
        cut = row.get("slice")
        if isinstance(cut, Mapping) and cut:
            by_value = measured.setdefault(tuple(map(str, cut)), {})
            by_value.setdefault(tuple(map(str, cut.values())), {})[str(row.get("metric"))] = row
    overall = {str(row.get("metric")): number(row.get("value")) for row in files.evaluation if not row.get("slice")}
    names = list(dict.fromkeys(str(row.get("metric")) for row in files.evaluation if row.get("slice")))
    first = metric if metric in names else (names[0] if names else metric)
    least = number(section(files.spec, "evaluate").get("min_rows"))
    tables = []
    for by, values in measured.items():
        others = [name for name in names if name != first and any(name in found for found in values.values())]
        tables.append(_sliced(by, values, first, others, overall.get(first, math.nan), least))
    missing = _absent(files, "evaluation.json")
    return {
        "tables": tables,
        "metric": first,
        "overall": figure(overall.get(first, math.nan)),
        "least": count(least),
        "missing": missing,
    }


def _sliced(
    by: Sequence[str],
    values: Mapping[tuple[str, ...], Mapping[str, Row]],
    first: str,
    others: Sequence[str],
    overall: float,
    least: float,
) -> View:
    sign = -1 if better(first) == "lower" else 1

    def small(found: Mapping[str, Row]) -> bool:
        return max(number(row.get("rows")) for row in found.values()) < least

    def rank(item: tuple[tuple[str, ...], Mapping[str, Row]]) -> tuple[bool, float, tuple[str, ...]]:
        value = number(item[1].get(first, {}).get("value"))
        return small(item[1]), sign * value if math.isfinite(value) else math.inf, item[0]

    ranked = sorted(values.items(), key=rank)[:MAX_SLICES]
    # A slice of a few rows has an interval as wide as the axis: only those that are judged set it.
    within = _range(
        [found.get(first, {}) for _, found in ranked if not small(found)]
        or [found.get(first, {}) for _, found in ranked],
        overall,
    )
    rows = [
        _line(
            crossed(name),
            found.get(first, {}),
            within,
            overall,
            small(found),
            [figure(number(found.get(other, {}).get("value"))) for other in others],
        )
        for name, found in ranked
    ]
    left, some_small = len(values) - len(ranked), any(row["small"] for row in rows)
    return {
        "by": crossed(by),
        "rows": rows,
        "others": list(others),
        "axis": _axis(within),
        "left": left,
        "small": some_small,
    }


def whiskers(
    rows: Sequence[tuple[str, Row, bool]], mark: float, others: Sequence[Sequence[str]]
) -> tuple[list[View], tuple[str, str]]:
    """Lines of one table on one axis, and the axis; each row as (name, measured, whether it is too small to be
    judged)."""
    within = _range([row for _, row, _ in rows], mark)
    return [
        _line(name, row, within, mark, small, more) for (name, row, small), more in zip(rows, others, strict=True)
    ], _axis(within)


def bias(files: RunFiles) -> View:
    """For each set of group columns and each measure: the groups on one axis, and gap and ratio below."""
    least = number(section(files.spec, "bias").get("min_rows"))
    kinds: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    summaries: dict[tuple[str, ...], list[Row]] = {}
    for row in files.bias:
        group, measure = section(row, "group"), str(row.get("measure"))
        if row.get("reduction"):
            summaries.setdefault(tuple(map(str, group)), []).append(row)
        else:
            kinds.setdefault(tuple(map(str, group)), {}).setdefault(measure, []).append(row)
    tables = []
    for by, measures in kinds.items():
        cards = []
        for measure, rows in measures.items():
            within = _range([row for row in rows if not number(row.get("rows")) < least] or rows, math.nan)
            lines = [
                _line(
                    crossed(section(row, "group").values()), row, within, math.nan, number(row.get("rows")) < least, []
                )
                for row in rows[:MAX_SLICES]
            ]
            cards.append({"measure": measure, "rows": lines, "axis": _axis(within), "left": len(rows) - len(lines)})
        tables.append(
            {"by": crossed(by), "cards": cards, "summaries": [_summary(row) for row in summaries.get(by, [])]}
        )
    return {"tables": tables, "least": count(least), "missing": _absent(files, "bias.json")}


def _summary(row: Row) -> View:
    return {
        "measure": row.get("measure"),
        "value": figure(number(row.get("value"))),
        "interval": interval(number(row.get("low")), number(row.get("high"))),
        "groups": crossed(value for value in section(row, "group").values() if value not in (None, "")),
        "four_fifths": row.get("four_fifths") if row.get("four_fifths") in ("kept", "broken", "open") else "",
    }


def _line(name: str, row: Row, within: Range, mark: float, small: bool, others: Sequence[str]) -> View:
    value, low, high = (number(row.get(key)) for key in ("value", "low", "high"))
    return {
        "name": name,
        "rows": count(number(row.get("rows"))),
        "value": figure(value),
        "interval": interval(low, high),
        "picture": whisker(value, low, high, within, mark=mark, kind="faint" if small else ""),
        "small": small,
        "others": others,
    }


def _range(rows: Iterable[Row], mark: float) -> Range:
    return padded([mark, *(number(row.get(key)) for row in rows for key in ("value", "low", "high"))])


def _axis(within: Range) -> tuple[str, str]:
    digits = max(0, 2 - math.floor(math.log10(within[1] - within[0])))
    return tick_label(round(within[0], digits)), tick_label(round(within[1], digits))


def _absent(files: RunFiles, *names: str) -> list[str]:
    return [files.missing[name] for name in names if name in files.missing]
