"""The page of two runs, from what `compare` found."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_pipeline.report import page
from ray_pipeline.report.format import brief, crossed, figure, interval
from ray_pipeline.report.run_files import number
from ray_pipeline.report.svg import padded, whisker
from ray_pipeline.report.test_metrics import better

TITLES = {
    "spec": "Spec",
    "data": "Data",
    "rows": "Rows",
    "model": "Model",
    "versions": "Versions",
    "seconds": "Seconds of each stage",
}


def write_diff(found: Mapping[str, Any], name: str, target: Path) -> Path:
    """The path of the page, written whole. Raises `OSError` where it cannot be."""
    tables = [
        (title, [{key: brief(value, 200) for key, value in pair.items()} for pair in found[part]])
        for part, title in TITLES.items()
    ]
    text = page.fill(
        "diff.html.j2",
        first=found["first"],
        second=found["second"],
        same_rows=found["same_rows"],
        name=name,
        tables=tables,
        any_differs=any(found[part] for part in TITLES),
        gates=[(row["gate"], [_gate(row[side]) for side in ("first", "second")]) for row in found["gates"]],
        **{part: [_line(row) for row in found[part]] for part in ("metrics", "slices", "bias")},
    )
    return page.write(text, target)


def _gate(side: Mapping[str, Any] | None) -> tuple[str, str]:
    if side is None:
        return "not asked", "soft"
    words = f"{figure(number(side.get('value')))} {interval(number(side.get('low')), number(side.get('high')))}"
    return (f"✓ {words}", "good") if side["passed"] else (f"✗ {words}", "bad")


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    sides = {
        side: {key: number((row[side] or {}).get(key)) for key in ("value", "low", "high")}
        for side in ("first", "second")
    }
    within = padded([value for side in sides.values() for value in side.values()])
    where = " and ".join(f"{brief(column, 40)} {crossed([name])}".strip() for column, name in row["slice"].items())
    change, direction = number(row["difference"]), better(row["metric"])
    apart = sides["second"]["low"] > sides["first"]["high"] or sides["second"]["high"] < sides["first"]["low"]
    kind = "" if not apart or not direction else "good" if (change > 0) == (direction == "higher") else "bad"
    told = {
        side: {
            "value": figure(at["value"]),
            "interval": interval(at["low"], at["high"]),
            "picture": whisker(at["value"], at["low"], at["high"], within),
        }
        for side, at in sides.items()
    }
    return {
        "name": f"{row['metric']} {where}".strip(),
        **told,
        "difference": ("+" if change > 0 else "") + figure(change) if math.isfinite(change) else "–",
        "kind": kind,
    }
