"""The headline metric by slice, and the weak slices that a search of one or two columns has found."""

import math
from collections.abc import Mapping, Sequence

from ray_pipeline.report.forest import Line, forest
from ray_pipeline.report.format import Context, better, format_count, format_number, join_names, name_slice, shorten
from ray_pipeline.report.run_files import JsonObject, RunFiles, list_of, nested, number, objects_of, partitions

MAX_SLICES = 30  # of one partition; the worst come first, so the best are left out

Names = tuple[str, ...]
ByMetric = Mapping[str, JsonObject]


def context(files: RunFiles) -> Context:
    """Return one table for each partition into slices, the worst value of the metric first."""
    sliced = list(dict.fromkeys(str(row.get("metric")) for row in files.evaluation if row.get("slice")))
    shown = files.metric if files.metric in sliced or not sliced else sliced[0]
    overall = number(files.overall.get(shown, {}).get("value"))
    min_rows = number(nested(files.spec, "evaluate").get("min_rows"))
    columns = [shown, *(name for name in sliced if name != shown)]
    return {
        "tables": [_table(by, rows, columns, overall, min_rows) for by, rows in partitions(files.evaluation).items()],
        "metric": shown,
        "overall": format_number(overall),
        "min_rows": format_count(min_rows),
        "missing": files.why_missing("evaluation.json"),
    }


def _table(by: Names, rows: Sequence[JsonObject], metrics: Sequence[str], overall: float, min_rows: float) -> Context:
    """The lines of one partition; the first of the metrics is drawn, the others have a cell each."""
    values: dict[Names, dict[str, JsonObject]] = {}
    for row in rows:
        values.setdefault(tuple(map(str, nested(row, "slice").values())), {})[str(row.get("metric"))] = row
    shown, others = metrics[0], [name for name in metrics[1:] if any(name in of_slice for of_slice in values.values())]
    sign = -1 if better(shown) == "lower" else 1

    def is_small(of_slice: ByMetric) -> bool:
        return max(number(row.get("rows")) for row in of_slice.values()) < min_rows

    def rank(item: tuple[Names, ByMetric]) -> tuple[bool, float, Names]:
        value = sign * number(item[1].get(shown, {}).get("value"))
        return is_small(item[1]), value if math.isfinite(value) else math.inf, item[0]

    lines = [
        Line(
            name=join_names(name),
            row=of_slice.get(shown, {}),
            small=is_small(of_slice),
            others=[format_number(of_slice.get(other, {}).get("value")) for other in others],
        )
        for name, of_slice in sorted(values.items(), key=rank)[:MAX_SLICES]
    ]
    return {
        "by": join_names(by),
        "others": others,
        "left": len(values) - len(lines),
        "small": any(line.small for line in lines),
        **forest(lines, overall),
    }


def weak_slices(files: RunFiles) -> Context:
    """Return the slices of one or two columns where the metric is worse than overall by more than chance."""
    weak = objects_of(files.weak_slices.get("found"))
    metric = str(weak[0].get("metric")) if weak else ""
    lines = [
        Line(
            name=name_slice(nested(row, "slice")),
            row=row,
            others=[format_number(row.get("difference")), _p_value(number(row.get("p")))],
        )
        for row in weak
    ]
    return {
        **forest(lines, number(files.overall.get(metric, {}).get("value"))),
        "metric": metric,
        "num_searched": number(files.weak_slices.get("searched")),
        "searched": format_count(files.weak_slices.get("searched")),
        "columns": ", ".join(shorten(name, 40) for name in list_of(files.weak_slices.get("columns"))),
        "missing": files.why_missing("weak_slices.json") if files.evaluation else [],
    }


def _p_value(p: float) -> str:
    return f"{p:.1e}" if p < 1e-4 else format_number(p)
