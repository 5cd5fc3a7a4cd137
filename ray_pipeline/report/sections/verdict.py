"""The verdict: each gate with its interval, and what became of the model."""

import math
import re
from collections.abc import Mapping

from ray_pipeline.report.format import Context, format_interval, format_number, shorten
from ray_pipeline.report.run_files import Estimate, JsonObject, RunFiles, list_of, nested, number, objects_of
from ray_pipeline.report.sections.reproducibility import facts
from ray_pipeline.report.svg import error_bar, padded_range

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
CHAMPION = rf"champion\s*(?:(?P<sign>[-+*])\s*(?P<margin>{NUMBER}))?"
COMPARED = re.compile(rf"(?:point\s+)?(?P<metric>\S+)\s*[<>]=?\s*champion\s*(?:[-+]\s*{NUMBER})?\s*$")
"""A gate whose value is the difference to the champion on the whole test part."""
BOUND = re.compile(rf"(?P<op>[<>]=?)\s*(?:(?P<number>{NUMBER})|{CHAMPION})\s*$")


def context(files: RunFiles) -> Context:
    """Return the gates, and what became of the model."""
    gates = [_gate(row) for row in objects_of(files.scorecard.get("gates"))]
    state, text = _outcome(files, gates)
    passed = "Registered" if files.manifest.get("version") is not None else "Passed"
    return {
        "state": state,
        "title": {"open": "No verdict", "refused": "Refused", "passed": passed}[state],
        "text": text,
        "gates": gates,
        "compared": _compared(files),
        "champion": facts(nested(files.scorecard, "champion")),
        "times_judged": files.scorecard.get("times_judged"),
        "notes": [str(note) for note in list_of(files.scorecard.get("notes"))],
    }


def _outcome(files: RunFiles, gates: list[Context]) -> tuple[str, str]:
    """The state (`open`, `refused` or `passed`) and the text that explains it."""
    if not files.scorecard:
        return "open", files.missing.get("scorecard.json", "there is no verdict")
    version, register = files.manifest.get("version"), files.spec.get("register")
    num_refused = sum(not gate["passed"] for gate in gates)
    if num_refused or files.scorecard.get("passed") is False:
        kept = "the model is not registered" if version is None else f"kept as version {version}, marked refused"
        return "refused", f"{num_refused} of {len(gates)} gates not passed; {kept}"
    one = "the gate passed" if gates else "the spec sets no gates"
    text = f"all {len(gates)} gates passed" if len(gates) > 1 else one
    if version is not None:
        text += f"; registered as {shorten(files.spec.get('name'))} version {version}"
        alias = register.get("alias") if isinstance(register, Mapping) else None
        text += f", alias {shorten(alias)}" if alias else ""
    elif register is False:
        text += "; the spec asks for no registration"
    return "passed", text


def _compared(files: RunFiles) -> list[Context]:
    """The champion and this model in each metric that a gate compares, on the same rows."""
    lines = []
    for row in objects_of(files.scorecard.get("gates")):
        theirs = number(row.get("champion"))
        match = COMPARED.match(str(row.get("gate")))
        if match is None or not math.isfinite(theirs):
            continue
        difference = Estimate.of(row)
        axis = padded_range([*difference, 0.0], 0.25)
        lines.append(
            {
                "metric": shorten(match["metric"], 60),
                "theirs": format_number(theirs),
                "ours": format_number(theirs + difference.value),
                "difference": ("+" if difference.value > 0 else "") + format_number(difference.value),
                "interval": format_interval(difference),
                "picture": error_bar(difference, axis, reference=0.0),
            }
        )
    return lines


def _gate(row: JsonObject) -> Context:
    text, estimate = str(row.get("gate", "")), Estimate.of(row)
    bound, higher_passes = bound_of(text, row)
    axis = padded_range([*estimate, bound], 0.25)
    passing = (bound, axis[1] if higher_passes else axis[0]) if math.isfinite(bound) else None
    passed = row.get("passed") is True
    return {
        "text": text,
        "passed": passed,
        "value": format_number(estimate.value),
        "interval": format_interval(estimate) if estimate.low < estimate.high else "–",
        "picture": error_bar(estimate, axis, reference=bound, css="good" if passed else "bad", passing=passing),
        "note": row.get("why") or "",
    }


def bound_of(text: str, row: JsonObject) -> tuple[float, bool]:
    """Return the bound that a gate's value is compared with, and whether a higher value passes.

    Against a champion the value is the difference to it (to its multiple under `*`), so that the bound is the margin
    alone. The bound is NaN if the gate names a champion and there is none yet, or its text is no gate.

    >>> bound_of("auc >= 0.65", {}), bound_of("brier <= champion + 0.01", {"champion": 0.2})
    ((0.65, True), (0.01, False))
    """
    match = BOUND.search(text)
    if match is None or (match["number"] is None and row.get("champion") is None):
        return math.nan, True
    margin = {"+": 1, "-": -1}.get(match["sign"], 0) * float(match["margin"] or 0)
    return float(match["number"] or margin), match["op"].startswith(">")
