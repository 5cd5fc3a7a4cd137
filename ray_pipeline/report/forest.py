"""Tables whose lines are intervals on one axis, as in a forest plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ray_pipeline.report.format import Context, format_count, format_interval, format_number
from ray_pipeline.report.run_files import Estimate, JsonObject
from ray_pipeline.report.svg import error_bar, padded_range, tick_label


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the table.

    Parameters
    ----------
    row
        The row of `evaluation.json`, `bias.json` or `weak_slices.json`.
    small
        Whether it has too few rows to be judged. Its interval may be wider than the axis.
    others
        Texts of further cells.
    """

    name: str
    row: JsonObject
    small: bool = False
    others: Sequence[str] = ()


def forest(lines: Sequence[Line], reference: float = math.nan) -> Context:
    """Return the table's lines and the labels of its axis; `reference` is a value to compare each line with."""
    estimates = [Estimate.of(line.row) for line in lines]
    judged = [estimate for line, estimate in zip(lines, estimates, strict=True) if not line.small] or estimates
    axis = padded_range([reference, *(value for estimate in judged for value in estimate)])
    digits = max(0, 2 - math.floor(math.log10(axis[1] - axis[0])))
    rows = [
        {
            "name": line.name,
            "rows": format_count(line.row.get("rows")),
            "value": format_number(estimate.value),
            "interval": format_interval(estimate),
            "picture": error_bar(estimate, axis, reference=reference, css="faint" if line.small else ""),
            "small": line.small,
            "others": line.others,
        }
        for line, estimate in zip(lines, estimates, strict=True)
    ]
    return {"rows": rows, "axis": tuple(tick_label(round(end, digits)) for end in axis)}
