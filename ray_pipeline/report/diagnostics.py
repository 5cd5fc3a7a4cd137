"""What was looked for beyond the spec's questions: columns that drift, slices where the model is weak, and the columns
that it leans on."""

import math
from collections.abc import Sequence

from ray_pipeline.report.format import brief, count, crossed, figure, interval
from ray_pipeline.report.run_files import Row, RunFiles, number, rows_of, section
from ray_pipeline.report.sections import View
from ray_pipeline.report.svg import length
from ray_pipeline.report.test_metrics import whiskers

MAX_COLUMNS, MAX_SLICED = 40, 12
MAX_DRIFTS = 20
FULL = 0.5  # the index whose bar is full: twice what counts as much


def drift(files: RunFiles) -> View:
    """The columns furthest from the training rows in validation or test, the furthest first; `drift.json` tells
    them."""
    parts = [part for part in ("validation", "test") if part in files.drift]
    index: dict[str, dict[str, float]] = {}
    for part in parts:
        for row in rows_of(files.drift[part]):
            if isinstance(row, dict) and math.isfinite(number(row.get("index"))):
                index.setdefault(str(row.get("column")), {})[part] = number(row["index"])
    ranked = sorted(index.items(), key=lambda one: (-max(one[1].values()), one[0]))
    lines = [
        (
            brief(name, 80),
            [(figure(of.get(part, math.nan)), length(min(of.get(part, 0.0) / FULL, 1.0))) for part in parts],
        )
        for name, of in ranked[:MAX_DRIFTS]
    ]
    return {
        "parts": parts,
        "rows": lines,
        "left": len(ranked) - len(lines),
        "missing": [files.missing["drift.json"]] if "drift.json" in files.missing else [],
    }


def weak(files: RunFiles) -> View:
    """Slices of one or two columns where the headline metric is worse than overall, beyond luck."""
    told = files.weak_slices
    found = [row for row in rows_of(told.get("found")) if isinstance(row, dict)]
    lines, axis = whiskers(
        [
            (
                " and ".join(
                    f"{brief(column, 40)} {crossed([name])}" for column, name in section(row, "slice").items()
                ),
                row,
                False,
            )
            for row in found
        ],
        _whole(files, str(found[0].get("metric")) if found else ""),
        [
            [
                figure(number(row.get("difference"))),
                f"{number(row.get('p')):.1e}" if number(row.get("p")) < 1e-4 else figure(number(row.get("p"))),
            ]
            for row in found
        ],
    )
    return {
        "rows": lines,
        "axis": axis,
        "metric": str(found[0].get("metric")) if found else "",
        "searched": number(told.get("searched")),
        "searched_text": count(number(told.get("searched"))),
        "columns": ", ".join(brief(name, 40) for name in rows_of(told.get("columns"))),
        "missing": (
            [files.missing["weak_slices.json"]] if "weak_slices.json" in files.missing and files.evaluation else []
        ),
    }


def importance(files: RunFiles) -> View:
    """The columns by how much the model leans on them, greatest first, over all and within slices; `explain.json` tells
    them."""
    ranked = sorted(_told(files.explained).items(), key=lambda one: -number(one[1].get("value")))
    longest = max((abs(number(row.get("value"))) for _, row in ranked), default=0.0) or 1.0
    lines = [
        (
            brief(column, 80),
            figure(number(row.get("value"))),
            interval(number(row.get("low")), number(row.get("high"))),
            figure(number(row.get("shap"))),
            length(number(row.get("value")) / longest),
        )
        for column, row in ranked[:MAX_COLUMNS]
    ]
    return {
        "rows": lines,
        "left": len(ranked) - len(lines),
        "method": brief(files.explained.get("method") or "", 200),
        "rows_used": count(number(files.explained.get("rows"))),
        "crossings": _by_groups(files, [column for column, _ in ranked[:MAX_SLICED]]),
        "shap": any(math.isfinite(number(row.get("shap"))) for _, row in ranked),
    }


def _by_groups(files: RunFiles, columns: Sequence[str]) -> list[View]:
    """For each way of slicing, the columns that matter most over all, a group beside the other; darker where the model
    leans more on the column."""
    crossings: dict[tuple[str, ...], list[Row]] = {}
    for one in rows_of(files.explained.get("slices")):
        if isinstance(one, dict) and section(one, "slice"):
            crossings.setdefault(tuple(map(str, section(one, "slice"))), []).append(one)
    tables = []
    for by, groups in crossings.items():
        told = [_told(group) for group in groups]
        most = max((number(row.get("value")) for rows in told for row in rows.values()), default=0.0) or 1.0
        cells = [[rows.get(column, {}) for rows in told] for column in columns]
        lines = [
            (
                brief(column, 80),
                [
                    (
                        figure(value := number(row.get("value"))),
                        interval(number(row.get("low")), number(row.get("high"))),
                        round(4 * max(value, 0.0) / most) if math.isfinite(value) else 0,
                    )
                    for row in of
                ],
            )
            for column, of in zip(columns, cells, strict=True)
        ]
        names = [(crossed(section(group, "slice").values()), count(number(group.get("rows")))) for group in groups]
        tables.append({"by": crossed(by), "names": names, "rows": lines})
    return tables


def _told(explained: Row) -> dict[str, Row]:
    """By column what an explanation says of it."""
    rows = rows_of(explained.get("importance"))
    return {
        str(row.get("column")): row for row in rows if isinstance(row, dict) and math.isfinite(number(row.get("value")))
    }


def _whole(files: RunFiles, metric: str) -> float:
    return next(
        (number(row.get("value")) for row in files.evaluation if row.get("metric") == metric and not row.get("slice")),
        math.nan,
    )
