"""The model card: one page of Markdown that says what a model is for, how good it is, and where its limits are.

It is made from the plain files of a run folder, like the report. Its titles are those of model cards (Mitchell et al.,
2019).
"""

import re
from collections.abc import Iterable, Iterator

from ray_pipeline.report.format import (
    better,
    format_count,
    format_interval,
    format_number,
    format_share,
    name_slice,
    shorten,
)
from ray_pipeline.report.run_files import Estimate, JsonObject, RunFiles, list_of, nested, number, objects_of

NAME = "model_card.md"
MAX_ROWS = 10
TASKS = {
    "binary": "the probability that `{label}` is true",
    "multiclass": "the probability of each class of `{label}`",
    "regression": "the value of `{label}`",
}


def model_card(files: RunFiles) -> str:
    """Return the card as Markdown; what a run has not written is left out."""
    parts = (_head, _intended_use, _model, _data, _metrics, _slices, _bias, _limits, _reproduce)
    card = "\n".join(line for part in parts for line in (*part(files), ""))
    return re.sub(r"\n{3,}", "\n\n", card).rstrip() + "\n"


def text(value: object, width: int = 160) -> str:
    """Return foreign text in one line, as Markdown shows it and never reads it.

    >>> text("a|b <i>*c*")
    'a\\\\|b &lt;i&gt;\\\\*c\\\\*'
    """
    plain = " ".join(shorten(value, width).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|#])", r"\\\1", plain)


def code(value: object, width: int = 160) -> str:
    """Return foreign text as code.

    >>> code("arr_delay > 15")
    '`arr_delay > 15`'
    """
    return f"`{' '.join(shorten(value, width).split()).replace('`', chr(39)).replace('|', chr(0x2223))}`"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table without its rows is no table."""
    listed = [f"| {' | '.join(row)} |" for row in rows]
    if listed:
        heads = list(heads)
        yield from (f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *listed, "")


def _head(files: RunFiles) -> Iterator[str]:
    yield f"# Model card: {text(files.spec.get('name') or files.run)}"
    yield ""
    model, passed = files.manifest.get("model"), files.scorecard.get("passed")
    judged = "passed its gates" if passed is True else "refused by its gates" if passed is False else "not judged"
    state = f"registered as {code(model)}" if model else judged
    yield f"Made from the files of the run {code(files.run)}: {state}. The run's `report.html` says more."


def _intended_use(files: RunFiles) -> Iterator[str]:
    labels, task = nested(files.spec, "features", "labels"), str(files.spec.get("task"))
    label = code(labels.get("label")).strip("`")
    yield "## Intended use"
    yield ""
    yield f"- The model predicts {TASKS.get(task, task).format(label=label)}."
    yield f"- It is meant for rows like those of {code(labels.get('path'))}, and for no other population."
    if time := labels.get("time"):
        yield f"- A prediction is made at the time {code(time)}. The model uses what was known then."
    if where := nested(files.spec, "select").get("where"):
        yield f"- Rows without {code(where)} were not part of training or test."
    yield "- Who may use it, for which decisions, and who is asked if it errs: *to be written by its owner.*"


def _model(files: RunFiles) -> Iterator[str]:
    yield "## Model"
    yield ""
    rounds = files.model.get("rounds")
    yield f"- Family: {text(files.model.get('family'))}" + (f", {rounds} rounds" if rounds else "")
    trials = "1 trial" if len(files.trials) == 1 else f"{len(files.trials)} trials"
    yield f"- Best of {trials} by {text(files.metric)} on validation"
    kind = files.model_calibration.get("kind")
    yield f"- Calibration: {text(kind or 'none')}"
    if (threshold := files.schema.get("threshold")) is not None:
        yield f"- A row is selected from the score {format_number(threshold)} on"
    columns = [code(column.get("name"), 60) for column in objects_of(files.schema.get("columns"))]
    if columns:
        yield f"- {len(columns)} features: {', '.join(columns)}"
    importance = objects_of(files.explain.get("importance"))[:5]
    if importance:
        yield f"- The score depends most on {', '.join(code(row.get('column'), 60) for row in importance)}"


def _data(files: RunFiles) -> Iterator[str]:
    yield "## Data"
    yield ""
    tables = nested(files.manifest, "data")
    paths = nested(files.spec, "features")
    yield from _table(
        ("table", "path", "rows", "fingerprint"),
        (
            (
                code(name, 60),
                code(nested(paths, name).get("path")),
                format_count(nested(tables, name).get("rows")),
                code(str(nested(tables, name).get("fingerprint"))[:12]),
            )
            for name in tables
        ),
    )
    for name, join in files.joins.items():
        if isinstance(join, dict):
            share = format_share(number(join.get("matched")), number(join.get("rows")))
            yield f"- Of all rows, {share} found a row in {code(name, 60)}."
    rows, times = nested(files.manifest, "rows"), nested(files.manifest, "times")
    for part in ("train", "validation", "test"):
        span = " to ".join(text(str(moment)[:16]) for moment in list_of(times.get(part)))
        yield f"- {part}: {format_count(rows.get(part))} rows" + (f", from {span}" if span else "")
    dropped = {reason: count for reason, count in nested(rows, "dropped").items() if count}
    if dropped:
        yield f"- Dropped: {', '.join(f'{format_count(n)} ({text(reason)})' for reason, n in dropped.items())}"


def _metrics(files: RunFiles) -> Iterator[str]:
    confidence = number(nested(files.spec, "evaluate").get("confidence")) or 0.95
    yield "## Metrics"
    yield ""
    yield f"On the test part, with intervals of {100 * confidence:g} %."
    yield ""
    yield from _table(
        ("metric", "value", "interval", "better"),
        (
            (text(name), format_number(row.get("value")), format_interval(Estimate.of(row)), better(name))
            for name, row in files.overall.items()
        ),
    )
    for baseline in files.baselines:
        value = format_number(baseline.get("value"))
        yield f"- Baseline {code(baseline.get('name'))}: {text(baseline.get('metric'))} {value} on validation"
    gates = objects_of(files.scorecard.get("gates"))
    for gate in gates:
        state = "passed" if gate.get("passed") is True else "**not passed**"
        yield f"- Gate {code(gate.get('gate'))}: {state}"
    if not gates:
        yield "- The spec sets no gates."


def _slices(files: RunFiles) -> Iterator[str]:
    rows = [row for row in files.evaluation if row.get("slice") and row.get("metric") == files.metric]
    judged = [row for row in rows if number(row.get("rows")) >= _min_rows(files, "evaluate")]
    worst = sorted(judged, key=lambda row: number(row.get("value")), reverse=better(files.metric) == "lower")
    yield "## Slices"
    yield ""
    found = objects_of(files.weak_slices.get("found"))
    if not worst and not found:
        yield "No slices were measured."
        return
    if worst:
        yield f"The weakest of {len(judged)} slices by {text(files.metric)}:"
        yield ""
    yield from _estimates("slice", ((name_slice(nested(row, "slice")), row) for row in worst[:5]))
    for row in found[:MAX_ROWS]:
        yield f"- Worse than the whole beyond chance: {text(name_slice(nested(row, 'slice')))}"


def _bias(files: RunFiles) -> Iterator[str]:
    yield "## Bias"
    yield ""
    reduced = [row for row in files.bias if row.get("reduction")]
    if not reduced:
        yield "No groups were compared."
        return
    yield "The largest difference (gap) or smallest ratio between two groups, with its interval."
    yield ""
    named = (
        (f"{row.get('measure')} {row.get('reduction')} by {' and '.join(nested(row, 'group'))}", row) for row in reduced
    )
    yield from _estimates("measure", list(named)[: 3 * MAX_ROWS])
    for row in reduced:
        if row.get("four_fifths") == "broken":
            yield f"- **The four-fifths rule is broken** by {text(' and '.join(nested(row, 'group')))}."


def _estimates(head: str, rows: Iterable[tuple[str, JsonObject]]) -> Iterator[str]:
    yield from _table(
        (head, "value", "interval", "rows"),
        (
            (
                text(name),
                format_number(row.get("value")),
                format_interval(Estimate.of(row)),
                format_count(row.get("rows")),
            )
            for name, row in rows
        ),
    )


def _min_rows(files: RunFiles, section: str) -> float:
    smallest = number(nested(files.spec, section).get("min_rows"))
    return smallest if smallest == smallest else 0.0


def _limits(files: RunFiles) -> Iterator[str]:
    yield "## Limits"
    yield ""
    for finding in files.checks:
        if finding.get("severity") in ("medium", "high"):
            yield f"- {text(finding.get('found'), 400)} ({code(finding.get('check'))})"
    for row in objects_of(files.drift.get("test")):
        if row.get("severity"):
            yield f"- {code(row.get('column'), 60)} differs between train and test"
    for note in list_of(files.scorecard.get("notes")):
        yield f"- {text(note, 400)}"
    if (times := number(files.scorecard.get("times_judged"))) > 1:
        yield f"- This test part was judged {times:.0f} times; with each time, chance has more room."
    yield "- The model knows only what its training rows show. It does not know causes."
    yield "- It may reveal rows of its training data: treat it as confidential as the data."


def _reproduce(files: RunFiles) -> Iterator[str]:
    yield "## How to reproduce"
    yield ""
    yield from ("```console", f"$ ray-pipeline rerun {shorten(files.run)} --verify", "```", "")
    yield f"- Fingerprint of the spec: {code(files.manifest.get('fingerprint'))}"
    versions = nested(files.manifest, "versions")
    if versions:
        yield f"- Versions: {', '.join(f'{text(name)} {text(version)}' for name, version in versions.items())}"
    if files.model_fingerprint:
        yield f"- SHA-256 of the model's checksums: {code(files.model_fingerprint)}"
