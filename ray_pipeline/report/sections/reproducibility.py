"""What a rerun needs: fingerprints, versions, seeds, timings, the model's settings and the text of the spec."""

import math
from collections.abc import Mapping

from ray_pipeline.report.format import Context, format_duration, shorten
from ray_pipeline.report.run_files import JsonObject, RunFiles, flat, nested, number
from ray_pipeline.report.svg import share_bar

MAX_FACTS = 120
ELSEWHERE = ("rows", "seconds", "times", "spec", "trials", "data")  # keys of the manifest that other sections show


def context(files: RunFiles) -> Context:
    """Return the timings of the stages, and all facts of the manifest and the model."""
    given = nested(files.manifest, "seconds").items()
    seconds = {stage: number(spent) for stage, spent in given if math.isfinite(number(spent))}
    longest = max(seconds.values(), default=0.0) or 1.0
    manifest = {key: value for key, value in files.manifest.items() if key not in ELSEWHERE}
    tables = nested(files.manifest, "data")
    manifest["data"] = {name: nested(tables, name).get("fingerprint") for name in tables}
    if files.model_fingerprint:
        manifest["model bundle"] = files.model_fingerprint
    calibration = [(f"calibration: {key}", text) for key, text in _plain(files.model_calibration)]
    return {
        "timings": [(stage, format_duration(spent), share_bar(spent / longest)) for stage, spent in seconds.items()],
        "total": format_duration(sum(seconds.values())),
        "facts": facts(manifest),
        "model": [*_plain(files.model), *calibration],
        "params": facts(nested(files.model, "params")),
        "spec": files.spec_text,
        "missing": files.why_missing("manifest.json", "spec.yaml", "model/model.json"),
    }


def facts(value: JsonObject) -> list[tuple[str, str]]:
    """Return nested JSON as pairs of a name and a text, at most 120 and then the count of the others.

    >>> facts({"seeds": {"spec": 0, "search": 7}, "champion": None})
    [('seeds › spec', '0'), ('seeds › search', '7'), ('champion', '–')]
    """
    pairs = [(name, format_json(item)) for name, item in flat(value, " › ")]
    more = [("…", f"{len(pairs) - MAX_FACTS} more in manifest.json")] if len(pairs) > MAX_FACTS else []
    return [*pairs[:MAX_FACTS], *more]


def format_json(value: object) -> str:
    """Format a JSON value for a table.

    >>> format_json(0.0714285714), format_json([1, 2]), format_json(None)
    ('0.0714286', '1, 2', '–')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and value:
        more = f" and {len(value) - 20} more" if len(value) > 20 else ""
        return ", ".join(format_json(item) for item in value[:20]) + more
    return "–" if value in (None, {}, []) else shorten(value, 400)


def _plain(value: JsonObject) -> list[tuple[str, str]]:
    return [(key, format_json(item)) for key, item in value.items() if not isinstance(item, Mapping | list)]
