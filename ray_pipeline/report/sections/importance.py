"""Importance: how much the model relies on each column, over all rows and within slices."""

import math
from collections.abc import Sequence

from ray_pipeline.report.format import Context, format_count, format_interval, format_number, join_names, shorten
from ray_pipeline.report.run_files import Estimate, JsonObject, RunFiles, nested, number, objects_of, partitions
from ray_pipeline.report.svg import share_bar

MAX_COLUMNS, MAX_COLUMNS_BY_SLICE = 40, 12


def context(files: RunFiles) -> Context:
    """Return the columns of `explain.json`, the most important first."""
    ranked = sorted(_by_column(files.explain).items(), key=lambda item: -number(item[1].get("value")))
    longest = max((abs(number(row.get("value"))) for _, row in ranked), default=0.0) or 1.0
    rows = [
        (
            shorten(column, 80),
            format_number(row.get("value")),
            format_interval(Estimate.of(row)),
            format_number(row.get("shap")),
            share_bar(number(row.get("value")) / longest),
        )
        for column, row in ranked[:MAX_COLUMNS]
    ]
    sliced, columns = objects_of(files.explain.get("slices")), [column for column, _ in ranked[:MAX_COLUMNS_BY_SLICE]]
    return {
        "rows": rows,
        "left": len(ranked) - len(rows),
        "method": shorten(files.explain.get("method") or "", 200),
        "num_rows": format_count(files.explain.get("rows")),
        "partitions": [_partition(by, slices, columns) for by, slices in partitions(sliced).items()],
        "shap": any(math.isfinite(number(row.get("shap"))) for _, row in ranked),
    }


def _partition(by: Sequence[str], slices: Sequence[JsonObject], columns: Sequence[str]) -> Context:
    """The importance of the columns within each slice of a partition; a darker cell is more important."""
    explained = [_by_column(row) for row in slices]
    values = [number(row.get("value")) for rows in explained for row in rows.values()]
    highest = max(values, default=0.0) or 1.0

    def cell(row: JsonObject) -> tuple[str, str, int]:
        value = number(row.get("value"))
        shade = round(4 * max(value, 0.0) / highest) if math.isfinite(value) else 0
        return format_number(value), format_interval(Estimate.of(row)), shade

    return {
        "by": join_names(by),
        "slices": [(join_names(nested(row, "slice").values()), format_count(row.get("rows"))) for row in slices],
        "rows": [(shorten(column, 80), [cell(rows.get(column, {})) for rows in explained]) for column in columns],
    }


def _by_column(explanation: JsonObject) -> dict[str, JsonObject]:
    """The rows of an explanation that have a value, by column."""
    rows = objects_of(explanation.get("importance"))
    return {str(row.get("column")): row for row in rows if math.isfinite(number(row.get("value")))}
