"""The page that compares two runs, from what `compare` returns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_pipeline.report import page
from ray_pipeline.report.compare import SIDES, TABLES
from ray_pipeline.report.format import Context, better, format_interval, format_number, name_slice, shorten
from ray_pipeline.report.run_files import Estimate, number
from ray_pipeline.report.svg import error_bar, padded_range

TITLES = {"seconds": "Seconds of each stage"}


def write_diff(comparison: Mapping[str, Any], name: str, target: Path) -> Path:
    """Write the page and return its path.

    Raises
    ------
    OSError
        The page cannot be written.
    """
    tables = [
        (
            TITLES.get(table, table.capitalize()),
            [{key: shorten(value, 200) for key, value in pair.items()} for pair in comparison[table]],
        )
        for table in TABLES
    ]
    text = page.fill(
        "diff.html.j2",
        first=comparison["first"],
        second=comparison["second"],
        same_rows=comparison["same_rows"],
        name=name,
        tables=tables,
        any_differs=any(pairs for _, pairs in tables),
        gates=[(row["gate"], [_gate(row[side]) for side in SIDES]) for row in comparison["gates"]],
        **{part: [_line(row) for row in comparison[part]] for part in ("metrics", "slices", "bias")},
    )
    return page.write(text, target)


def _gate(side: Mapping[str, Any] | None) -> tuple[str, str]:
    """The text of a gate in one run, and its CSS class."""
    if side is None:
        return "not asked", "soft"
    estimate = Estimate.of(side)
    text = f"{format_number(estimate.value)} {format_interval(estimate)}"
    return (f"✓ {text}", "good") if side["passed"] else (f"✗ {text}", "bad")


def _line(row: Mapping[str, Any]) -> Context:
    """A value in both runs on one axis; it is coloured if the intervals do not overlap."""
    first, second = (Estimate.of(row[side] or {}) for side in SIDES)
    axis = padded_range([*first, *second])
    difference, direction = number(row["difference"]), better(row["metric"])
    apart = second.low > first.high or second.high < first.low
    css = "" if not apart or not direction else "good" if (difference > 0) == (direction == "higher") else "bad"
    sides = {
        side: {
            "value": format_number(estimate.value),
            "interval": format_interval(estimate),
            "picture": error_bar(estimate, axis),
        }
        for side, estimate in zip(SIDES, (first, second), strict=True)
    }
    return {
        "name": f"{row['metric']} {name_slice(row['slice'])}".strip(),
        **sides,
        "difference": ("+" if difference > 0 else "") + format_number(difference),
        "css": css,
    }
