"""The first screen, for readers who know no statistics: what is predicted, how good it is, and what to watch."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from ray_pipeline.report.format import (
    Context,
    better,
    explain_metric,
    format_count,
    format_number,
    join_names,
    name_slice,
    shorten,
)
from ray_pipeline.report.run_files import Estimate, JsonObject, RunFiles, nested, number, objects_of
from ray_pipeline.report.sections.verdict import COMPARED

MAX_WATCHED = 5
MUCH_DRIFT = ("medium", "high")


class Sentence(NamedTuple):
    """A sentence about the model, and its CSS class."""

    title: str
    text: str
    css: str = ""


class Watch(NamedTuple):
    """Something to look at, and the section that has the details."""

    text: str
    section: str


def context(files: RunFiles) -> Context:
    """Return the sentences of the first screen, and what to watch, the most important first."""
    watched = list(_watched(files))
    sentences = [_predicts(files), _on_test(files), _against_baselines(files), _against_champion(files)]
    return {
        "sentences": [sentence for sentence in sentences if sentence],
        "watched": watched[:MAX_WATCHED],
        "left": max(len(watched) - MAX_WATCHED, 0),
        "judged": bool(files.scorecard),
    }


def _predicts(files: RunFiles) -> Sentence | None:
    labels, rows = nested(files.spec, "features", "labels"), nested(files.manifest, "rows")
    label, task = shorten(labels.get("label") or ""), files.spec.get("task")
    if not label:
        return None
    is_column = re.fullmatch(r"[\w.]+|`[^`]+`", label) is not None
    text = {
        "binary": f"The chance that {label}{' is true' if is_column else ''}",
        "multiclass": f"The class of {label}",
    }.get(str(task), f"The number {label}")
    text += f", as of {shorten(labels['time'], 60)}" if labels.get("time") else ""
    train, test = number(rows.get("train")), number(rows.get("test"))
    if math.isfinite(train) and math.isfinite(test):
        text += f". It has learned from {format_count(train)} rows and is judged on {format_count(test)} others"
    return Sentence("What is predicted", f"{text}.")


def _on_test(files: RunFiles) -> Sentence | None:
    row, metric = files.overall.get(files.metric), shorten(files.metric, 60)
    if not row:
        return None
    value, low, high = Estimate.of(row)
    between = f", between {format_number(low)} and {format_number(high)}" if math.isfinite(low + high) else ""
    share = number(nested(files.spec, "evaluate").get("confidence"))
    sure = f" with {share:.0%} confidence" if between and math.isfinite(share) else ""
    meaning = explain_metric(files.metric)
    direction = {"higher": "higher is better", "lower": "lower is better"}.get(better(files.metric), "")
    what = f" ({meaning[:1].lower()}{meaning[1:]}{f'; {direction}' if direction else ''})" if meaning else ""
    return Sentence("On new rows", f"{metric} is {format_number(value)}{between}{sure}{what}.")


class _Gain(NamedTuple):
    """The best trial against the simple models, on the same validation rows."""

    best: float
    simple: list[tuple[str, float]]
    """Names and values, the best first."""
    gain: float
    """By how much the best trial is better than the best of them."""
    noise: float
    """Half of the metric's interval on test; a smaller gain of the best of many trials can be chance."""


def _gain(files: RunFiles) -> _Gain | None:
    sign = -1.0 if better(files.metric) == "lower" else 1.0
    simple = [
        (str(row.get("name", "–")), number(row.get("value")))
        for row in files.baselines
        if row.get("metric") == files.metric
    ]
    simple = sorted([one for one in simple if math.isfinite(one[1])], key=lambda one: -sign * one[1])
    tried = [number(row.get("metric")) for row in files.trials if row.get("status") == "completed"]
    best = max((sign * value for value in tried if math.isfinite(value)), default=math.nan) * sign
    if not simple or not math.isfinite(best):
        return None
    _, low, high = Estimate.of(files.overall.get(files.metric) or {})
    noise = (high - low) / 2 if math.isfinite(high - low) else 0.0
    return _Gain(best, simple, sign * (best - simple[0][1]), noise)


def _against_baselines(files: RunFiles) -> Sentence | None:
    """The best trial and the simple models, on the same validation rows."""
    if not (found := _gain(files)):
        return None
    others = " and ".join(f"{format_number(value)} for a {shorten(name, 30)} model" for name, value in found.simple[:2])
    text = f"{shorten(files.metric, 60)} is {format_number(found.best)} on the validation rows, against {others}"
    if found.gain > found.noise:
        return Sentence("Against simple models", f"Better than simple models: {text}.", "good")
    if found.gain > 0:
        return Sentence("Against simple models", f"Hardly better than a simple model: {text}; that can be chance.")
    return Sentence("Against simple models", f"No better than a simple model: {text}.", "bad")


def _against_champion(files: RunFiles) -> Sentence | None:
    """The difference to the champion in each metric that a gate compares."""
    if not files.scorecard:
        return None
    named = [row for row in objects_of(files.scorecard.get("gates")) if "champion" in str(row.get("gate"))]
    compared = [
        (shorten(match["metric"], 60), Estimate.of(row))
        for row in named
        if math.isfinite(number(row.get("champion"))) and (match := COMPARED.match(str(row.get("gate"))))
    ]
    if not compared:
        nobody = "There is no champion to compare with yet." if named else "Not compared: no gate names the champion."
        return Sentence("Against the champion", nobody if not any(map(_has_champion, named)) else "See the gates.")
    metric, (value, low, high) = compared[0]
    sign = -1.0 if better(metric) == "lower" else 1.0
    worst, best = sorted((sign * low, sign * high))
    lead, css = ("Better than", "good") if worst > 0 else ("Worse than", "bad") if best < 0 else ("As good as", "")
    version = nested(files.scorecard, "champion").get("version")
    who = f"the champion, version {shorten(version, 20)}" if version is not None else "the champion"
    difference = f"{'+' if value > 0 else ''}{format_number(value)}"
    interval = f", between {format_number(low)} and {format_number(high)}" if math.isfinite(low + high) else ""
    noise = "" if css else "; the difference can be noise"
    text = f"{lead} {who}: on the same rows {metric} differs by {difference}{interval}{noise}."
    return Sentence("Against the champion", text, css)


def _has_champion(row: object) -> bool:
    return isinstance(row, dict) and row.get("champion") is not None


def _watched(files: RunFiles) -> Iterator[Watch]:
    """What a reader should look at: gates, severe findings, groups, drift, weak slices, reuse of the test part."""
    for row in objects_of(files.scorecard.get("gates")):
        if row.get("passed") is not True:
            yield Watch(f"Gate not passed: {shorten(row.get('gate'), 80)}", "verdict")
    if (found := _gain(files)) and found.gain <= found.noise:
        yield Watch(f"Not surely better than a {shorten(found.simple[0][0], 30)} model", "search")
    for severity in ("high", "medium"):
        by_check: dict[str, list[JsonObject]] = {}
        for row in files.checks:
            if row.get("severity") == severity and row.get("check") != "drift":  # drift has its own line
                by_check.setdefault(shorten(row.get("check"), 40), []).append(row)
        for check, rows in by_check.items():
            more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
            yield Watch(f"{check}: {shorten(rows[0].get('found') or '')}{more}", "findings")
    for row in files.bias:
        if row.get("four_fifths") == "broken":
            groups, ratio = nested(row, "group"), format_number(row.get("value"))
            yield Watch(f"Four-fifths rule broken by {join_names(groups)}: ratio of selection rates {ratio}", "bias")
    moved = [row for row in objects_of(files.drift.get("test")) if row.get("severity") in MUCH_DRIFT]
    if moved:
        first = max(moved, key=lambda row: number(row.get("index")))
        many = f"{len(moved)} columns have" if len(moved) > 1 else "One column has"
        yield Watch(f"{many} other values than in training, most of all {shorten(first.get('column'), 60)}", "read")
    weak = objects_of(files.weak_slices.get("found"))
    if weak:
        worst = name_slice(nested(weak[0], "slice"))
        yield Watch(
            f"Worse than overall in {len(weak)} slice{'s' if len(weak) > 1 else ''}, most surely where {worst}",
            "slices",
        )
    times = number(files.scorecard.get("times_judged"))
    if times > 1:
        yield Watch(f"The test part has been judged {times:.0f} times: its figures flatter the model", "verdict")
