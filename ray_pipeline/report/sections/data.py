"""The data: rows of each part, joins, drift between the parts, and what the checks found."""

import math
from collections.abc import Mapping

from ray_pipeline.report import pictures
from ray_pipeline.report.format import (
    Context,
    format_bytes,
    format_count,
    format_duration,
    format_number,
    format_share,
    shorten,
)
from ray_pipeline.report.run_files import JsonObject, RunFiles, nested, number, objects_of
from ray_pipeline.report.svg import share_bar

PARTS = ("train", "validation", "test")
SEVERITIES = ("high", "medium", "low")
MAX_FINDINGS = 200
MAX_DRIFTS = 20
FULL_BAR = 0.5  # the drift index that fills a bar: twice of what counts as much


def context(files: RunFiles) -> Context:
    """Return the rows of each part, the dropped rows, what the spec asked for, and the joins."""
    rows = nested(files.manifest, "rows")
    sizes = [(part, number(rows.get(part))) for part in PARTS if math.isfinite(number(rows.get(part)))]
    kept = sum(n for _, n in sizes)
    dropped = [(reason.replace("_", " "), number(n)) for reason, n in nested(rows, "dropped").items() if number(n) > 0]
    times = nested(files.manifest, "times")
    no_rows = "manifest.json has the number of rows of each part; this run does not have it"
    return {
        "parts": [(part, format_count(n), format_share(n, kept), _days(times.get(part))) for part, n in sizes],
        "picture": pictures.parts(sizes) if kept else None,
        "dropped": [(reason, format_count(n)) for reason, n in dropped],
        "dropped_total": format_count(sum(n for _, n in dropped)),
        "request": [(key, value) for key, value in _request(files) if value not in (None, "")],
        "joins": [_join(name, join) for name, join in files.joins.items() if isinstance(join, Mapping)],
        "missing": [*files.why_missing("joins.json"), *([] if sizes else [no_rows])],
    }


def _request(files: RunFiles) -> list[tuple[str, object]]:
    """The tables, the label, the rows and the split that the spec asked for."""
    select, split = nested(files.spec, "select"), nested(files.spec, "split")
    tables = []
    for name, table in nested(files.manifest, "data").items():
        if isinstance(table, Mapping) and math.isfinite(number(table.get("rows"))):
            num_files = f"{format_count(table.get('files'))} file{'' if table.get('files') == 1 else 's'}"
            size = format_bytes(table.get("bytes"))
            tables.append((str(name), f"{format_count(table.get('rows'))} rows, {num_files}, {size}"))
    return [
        *tables,
        ("label", nested(files.spec, "features", "labels").get("label")),
        ("from", select.get("from")),
        ("to (excluded)", select.get("to")),
        ("where", select.get("where")),
        ("split", ", ".join(f"{key} {value}" for key, value in split.items() if value is not None)),
    ]


def _join(name: str, join: JsonObject) -> Context:
    ages = [format_duration(join.get(key)) for key in ("age_p50_s", "age_p99_s")]
    reasons = ("too_old", "not_yet_known", "never_seen", "null_key")
    lost = [
        f"{format_count(join[reason])} {reason.replace('_', ' ')}" for reason in reasons if number(join.get(reason)) > 0
    ]
    return {
        "table": name,
        "matched": f"{format_count(join.get('matched'))} of {format_count(join.get('rows'))}",
        "share": format_share(number(join.get("matched")), number(join.get("rows"))),
        "lost": ", ".join(lost) or "none",
        "age": "–" if "–" in ages else " / ".join(ages),
        "plan": join.get("plan") or "–",
    }


def _days(times: object) -> str:
    """First and last day of a part; empty if its rows have no time."""
    days = [str(time)[:10] for time in times] if isinstance(times, list) else []
    return " to ".join(dict.fromkeys(days))


def drift(files: RunFiles) -> Context:
    """Return the columns whose values in validation or test differ most from the training rows, the largest first."""
    parts = [part for part in ("validation", "test") if part in files.drift]
    indexes: dict[str, dict[str, float]] = {}
    for part in parts:
        for row in objects_of(files.drift[part]):
            if math.isfinite(number(row.get("index"))):
                indexes.setdefault(str(row.get("column")), {})[part] = number(row["index"])
    ranked = sorted(indexes.items(), key=lambda item: (-max(item[1].values()), item[0]))
    rows = [
        (
            shorten(column, 80),
            [(format_number(index.get(part)), share_bar(min(index.get(part, 0.0) / FULL_BAR, 1.0))) for part in parts],
        )
        for column, index in ranked[:MAX_DRIFTS]
    ]
    return {"parts": parts, "rows": rows, "left": len(ranked) - len(rows), "missing": files.why_missing("drift.json")}


def findings(files: RunFiles) -> Context:
    """Return what the checks found, the most severe first."""
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    rows = sorted(files.checks, key=lambda row: order.get(str(row.get("severity")), 3))
    counts = [(severity, sum(row.get("severity") == severity for row in rows)) for severity in SEVERITIES]
    shown = [
        {
            "severity": row.get("severity") if row.get("severity") in SEVERITIES else "low",
            **{key: row.get(key) or "" for key in ("check", "column", "found", "fix")},
            "rows": format_count(row.get("rows")),
        }
        for row in rows[:MAX_FINDINGS]
    ]
    return {
        "rows": shown,
        "counts": [(severity, n) for severity, n in counts if n],
        "left": len(rows) - len(shown),
        "missing": files.why_missing("checks.json"),
    }
