"""Bias: for each set of group columns and each measure, the groups on one axis, and the gap and the ratio."""

from ray_pipeline.report.forest import Line, forest
from ray_pipeline.report.format import Context, format_count, format_interval, format_number, join_names
from ray_pipeline.report.run_files import Estimate, JsonObject, RunFiles, nested, number

MAX_GROUPS = 30


def context(files: RunFiles) -> Context:
    """Return one table for each set of group columns."""
    min_rows = number(nested(files.spec, "bias").get("min_rows"))
    groups: dict[tuple[str, ...], dict[str, list[JsonObject]]] = {}
    reductions: dict[tuple[str, ...], list[Context]] = {}
    for row in files.bias:
        by = tuple(map(str, nested(row, "group")))
        if row.get("reduction"):
            reductions.setdefault(by, []).append(_reduction(row))
        else:
            groups.setdefault(by, {}).setdefault(str(row.get("measure")), []).append(row)
    return {
        "tables": [
            {
                "by": join_names(by),
                "cards": [_card(measure, rows, min_rows) for measure, rows in measures.items()],
                "reductions": reductions.get(by, []),
            }
            for by, measures in groups.items()
        ],
        "min_rows": format_count(min_rows),
        "missing": files.why_missing("bias.json"),
    }


def _card(measure: str, rows: list[JsonObject], min_rows: float) -> Context:
    """The groups by one measure."""
    lines = [
        Line(name=join_names(nested(row, "group").values()), row=row, small=number(row.get("rows")) < min_rows)
        for row in rows[:MAX_GROUPS]
    ]
    return {"measure": measure, "left": len(rows) - len(lines), **forest(lines)}


def _reduction(row: JsonObject) -> Context:
    """A gap or a ratio, and the two groups that are furthest apart."""
    estimate = Estimate.of(row)
    return {
        "measure": row.get("measure"),
        "value": format_number(estimate.value),
        "interval": format_interval(estimate),
        "groups": join_names(value for value in nested(row, "group").values() if value not in (None, "")),
        "four_fifths": row.get("four_fifths") if row.get("four_fifths") in ("kept", "broken", "open") else "",
    }
