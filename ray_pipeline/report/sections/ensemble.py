"""The ensemble: its members with their weights, what each adds on validation, its costs; or why there is none."""

from ray_pipeline.report.format import Context, format_number
from ray_pipeline.report.run_files import JsonObject, RunFiles, number, objects_of


def context(files: RunFiles) -> Context:
    """Return the members and both metrics; empty where the spec asks for no ensemble."""
    ensemble = files.ensemble
    if not ensemble:
        return {}
    members = objects_of(ensemble.get("members"))
    return {
        "metric": ensemble.get("metric", "metric"),
        "why": ensemble.get("why") or "",
        "candidates": ensemble.get("candidates", "–"),
        "single": format_number(ensemble.get("single")),
        "value": format_number(ensemble.get("value")),
        "latency_ms": format_number(sum(number(row.get("latency_ms")) for row in members)),
        "size_mb": format_number(sum(number(row.get("size_mb")) for row in members)),
        "members": [_member(row) for row in members],
    }


def _member(row: JsonObject) -> Context:
    numbers = {name: format_number(row.get(name)) for name in ("metric", "value", "latency_ms", "size_mb")}
    weight = f"{number(row.get('weight')):.0%}"
    return {"trial": row.get("trial", "–"), "family": row.get("family", "–"), "weight": weight, **numbers}
