"""What was looked for beyond the spec's questions: columns that drift, slices where the model is weak, and the columns that it leans on."""

import math

from ray_pipeline.report.measured import whiskers
from ray_pipeline.report.run_files import RunFiles, number, rows_of, section
from ray_pipeline.report.sections import View
from ray_pipeline.report.svg import length
from ray_pipeline.report.wording import brief, count, crossed, figure

MOST_COLUMNS = 40
MOST_DRIFTS = 20
FULL = 0.5  # the index whose bar is full: twice what counts as much


def drift(files: RunFiles) -> View:
    """The columns furthest from the training rows in validation or test, the furthest first; `drift.json` tells them."""
    parts = [part for part in ("validation", "test") if part in files.drift]
    index: dict[str, dict[str, float]] = {}
    for part in parts:
        for row in rows_of(files.drift[part]):
            if isinstance(row, dict) and math.isfinite(number(row.get("index"))):
                index.setdefault(str(row.get("column")), {})[part] = number(row["index"])
    ranked = sorted(index.items(), key=lambda one: (-max(one[1].values()), one[0]))
    lines = [(brief(name, 80), [(figure(of.get(part, math.nan)), length(min(of.get(part, 0.0) / FULL, 1.0))) for part in parts]) for name, of in ranked[:MOST_DRIFTS]]
    return {"parts": parts, "rows": lines, "left": len(ranked) - len(lines), "missing": [files.missing["drift.json"]] if "drift.json" in files.missing else []}


def weak(files: RunFiles) -> View:
    """Slices of one or two columns where the headline metric is worse than overall, beyond luck."""
    told = files.weak_slices
    found = [row for row in rows_of(told.get("found")) if isinstance(row, dict)]
    lines, axis = whiskers(
        [(" and ".join(f"{brief(column, 40)} {crossed([name])}" for column, name in section(row, "slice").items()), row, False) for row in found],
        _whole(files, str(found[0].get("metric")) if found else ""),
        [[figure(number(row.get("difference"))), f"{number(row.get('p')):.1e}" if number(row.get("p")) < 1e-4 else figure(number(row.get("p")))] for row in found],
    )
    return {
        "rows": lines, "axis": axis, "metric": str(found[0].get("metric")) if found else "", "searched": number(told.get("searched")),
        "searched_text": count(number(told.get("searched"))), "columns": ", ".join(brief(name, 40) for name in rows_of(told.get("columns"))),
        "missing": [files.missing["weak_slices.json"]] if "weak_slices.json" in files.missing and files.evaluation else [],
    }  # fmt: skip


def importance(files: RunFiles) -> View:
    """The columns by how much the model leans on them, greatest first; `explain.json` tells them."""
    told = [row for row in rows_of(files.explained.get("importance")) if isinstance(row, dict) and math.isfinite(number(row.get("value")))]
    ranked = sorted(told, key=lambda row: -number(row.get("value")))
    longest = max((abs(number(row.get("value"))) for row in ranked), default=0.0) or 1.0
    lines = [(brief(row.get("column"), 80), figure(number(row.get("value"))), length(number(row.get("value")) / longest)) for row in ranked[:MOST_COLUMNS]]
    return {
        "rows": lines, "left": len(ranked) - len(lines), "method": brief(files.explained.get("method") or "", 200), "rows_used": count(number(files.explained.get("rows"))),
    }  # fmt: skip


def _whole(files: RunFiles, metric: str) -> float:
    return next((number(row.get("value")) for row in files.evaluation if row.get("metric") == metric and not row.get("slice")), math.nan)
