"""What each section says, as plain values for the template: the verdict, what was read, findings, search,
reproducibility."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ray_pipeline.report import pictures
from ray_pipeline.report.format import brief, clock, count, figure, interval, share, size
from ray_pipeline.report.run_files import Row, RunFiles, number, rows_of, section
from ray_pipeline.report.svg import length, padded, whisker

View = dict[str, Any]
MAX_TRIALS = 20
MAX_FINDINGS = 200
MAX_FACTS = 120
BOUND = re.compile(
    r"(?P<op>>=|<=|>|<)\s*(?:(?P<number>[-+0-9.eE]+)|champion\s*(?:(?P<sign>[-+*])\s*(?P<margin>[0-9.eE+-]+))?)\s*$"
)
SEVERITIES = ("high", "medium", "low")


def verdict(files: RunFiles) -> View:
    """The gates with their intervals, and what became of the model."""
    gates = [_gate(row) for row in rows_of(files.scorecard.get("gates")) if isinstance(row, Mapping)]
    refused = [gate for gate in gates if not gate["passed"]]
    version, register = files.manifest.get("version"), files.spec.get("register")
    if not files.scorecard:
        state, words = "open", files.missing.get("scorecard.json", "there is no verdict")
    elif refused or files.scorecard.get("passed") is False:
        state, words = "refused", f"{len(refused)} of {len(gates)} gates not passed"
        words += (
            f"; kept as version {version}, marked refused" if version is not None else "; the model is not registered"
        )
    else:
        state, words = (
            "passed",
            (
                f"all {len(gates)} gates passed"
                if len(gates) > 1
                else "the gate passed"
                if gates
                else "the spec sets no gates"
            ),
        )
        if version is not None:
            words += f"; registered as {brief(files.spec.get('name'))} version {version}"
            words += (
                f", alias {brief(register['alias'])}" if isinstance(register, Mapping) and register.get("alias") else ""
            )
        elif register is False:
            words += "; the spec asks for no registration"
    title = {"open": "No verdict", "refused": "Refused", "passed": "Registered" if version is not None else "Passed"}[
        state
    ]
    told = {"champion": facts(section(files.scorecard, "champion")), "judged": files.scorecard.get("times_judged")}
    return {
        "state": state,
        "title": title,
        "words": words,
        "gates": gates,
        **told,
        "notes": [str(note) for note in rows_of(files.scorecard.get("notes"))],
    }


def _gate(row: Row) -> View:
    text, value, low, high = (
        str(row.get("gate", "")),
        number(row.get("value")),
        number(row.get("low")),
        number(row.get("high")),
    )
    bound, upward = _bound(text, row)
    within = padded([value, low, high, bound], 0.25)
    passing = (bound, within[1] if upward else within[0]) if math.isfinite(bound) else None
    passed = row.get("passed") is True
    picture = whisker(value, low, high, within, mark=bound, kind="good" if passed else "bad", passing=passing)
    shown = interval(low, high) if low < high else "–"
    return {
        "text": text,
        "passed": passed,
        "value": figure(value),
        "interval": shown,
        "picture": picture,
        "note": row.get("why") or "",
    }


def _bound(text: str, row: Row) -> tuple[float, bool]:
    """What the measured value is held against and whether more is better; NaN where a champion is named but there is
    none yet.

    Against a champion the value is the difference to it (to its multiple under `*`), so that the bound is the margin
    alone.
    """
    match = BOUND.search(text)
    if match is None:
        return math.nan, True
    if match["number"]:
        bound = _float(match["number"])
    elif row.get("champion") is None:
        bound = math.nan
    else:
        bound = {"+": 1, "-": -1}.get(match["sign"] or "", 0) * _float(match["margin"] or "0")
    return bound, match["op"].startswith(">")


def read(files: RunFiles) -> View:
    """Rows per part, rows dropped and why, joins."""
    rows = section(files.manifest, "rows")
    sizes = [
        (part, number(rows.get(part)))
        for part in ("train", "validation", "test")
        if math.isfinite(number(rows.get(part)))
    ]
    kept = sum(n for _, n in sizes)
    dropped = [
        (str(reason).replace("_", " "), number(n)) for reason, n in section(rows, "dropped").items() if number(n) > 0
    ]
    select, split = section(files.spec, "select"), section(files.spec, "split")
    labels = section(files.spec, "features", "labels")
    tables = []
    for name, found in section(files.manifest, "data").items():
        if isinstance(found, Mapping) and math.isfinite(number(found.get("rows"))):
            num_files = f"{count(number(found.get('files')))} file{'' if found.get('files') == 1 else 's'}"
            tables.append(
                (str(name), f"{count(number(found.get('rows')))} rows, {num_files}, {size(number(found.get('bytes')))}")
            )
    asked = [
        *tables,
        ("label", labels.get("label")),
        ("from", select.get("from")),
        ("to (excluded)", select.get("to")),
        ("where", select.get("where")),
        ("split", ", ".join(f"{key} {value}" for key, value in split.items() if value is not None)),
    ]
    joins = []
    for name, found in files.joins.items():
        if isinstance(found, Mapping):
            whole = number(found.get("rows"))
            ages = [clock(number(found.get(key))) for key in ("age_p50_s", "age_p99_s")]
            lost = [
                (reason, number(found.get(reason))) for reason in ("too_old", "not_yet_known", "never_seen", "null_key")
            ]
            joins.append(
                {
                    "table": name,
                    "matched": f"{count(number(found.get('matched')))} of {count(whole)}",
                    "share": share(number(found.get("matched")), whole),
                    "lost": (
                        ", ".join(f"{count(n)} {reason.replace('_', ' ')}" for reason, n in lost if n > 0) or "none"
                    ),
                    "age": "–" if "–" in ages else " / ".join(ages),
                    "plan": found.get("plan") or "–",
                }
            )
    return {
        "parts": [
            (part, count(n), share(n, kept), _span(section(files.manifest, "times").get(part))) for part, n in sizes
        ],
        "picture": pictures.parts(sizes) if kept else None,
        "dropped": [(reason, count(n)) for reason, n in dropped],
        "dropped_total": count(sum(n for _, n in dropped)),
        "asked": [(key, value) for key, value in asked if value not in (None, "")],
        "joins": joins,
        "missing": (
            _absent(files, "joins.json")
            + ([] if sizes else ["how many rows each part has is told by manifest.json, which this run does not have"])
        ),
    }


def findings(files: RunFiles) -> View:
    """What the checks found, the gravest first."""
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    rows = sorted(files.checks, key=lambda row: order.get(str(row.get("severity")), 3))
    counts = [(severity, sum(row.get("severity") == severity for row in rows)) for severity in SEVERITIES]
    shown = [
        {
            "severity": row.get("severity") if row.get("severity") in SEVERITIES else "low",
            **{key: row.get(key) or "" for key in ("check", "column", "found", "fix")},
            "rows": count(number(row.get("rows"))),
        }
        for row in rows[:MAX_FINDINGS]
    ]
    return {
        "rows": shown,
        "counts": [(severity, n) for severity, n in counts if n],
        "left": len(rows) - len(shown),
        "missing": _absent(files, "checks.json"),
    }


def search(files: RunFiles, metric: str, better: str) -> View:
    """The leaderboard and the pictures of the trials."""
    sign = -1 if better == "higher" else 1

    def rank(row: Row) -> tuple[bool, float]:
        value = number(row.get("metric"))
        return row.get("status") != "completed" or not math.isfinite(value), (
            sign * value if math.isfinite(value) else math.inf
        )

    ranked = sorted(files.trials, key=rank)
    families = sorted({str(row.get("family")) for row in ranked})
    varied = _varied(ranked)
    board = [
        {
            "trial": row.get("trial", "–"),
            "family": row.get("family", "–"),
            "metric": figure(number(row.get("metric"))),
            "rounds": _rounds(row),
            "seconds": clock(number(row.get("seconds"))),
            "status": row.get("status", "–"),
            "why": row.get("why") or "",
            "params": [
                (key, _written(value))
                for key, value in section(row, "params").items()
                if (str(row.get("family")), key) in varied
            ],
        }
        for row in ranked[:MAX_TRIALS]
    ]
    first = ranked[0] if ranked else {}
    fixed = [
        (key, _written(value))
        for key, value in section(first, "params").items()
        if (str(first.get("family")), key) not in varied
    ]
    winner = ranked[0].get("trial") if ranked and not rank(ranked[0])[0] else None
    states = {state: sum(row.get("status") == state for row in ranked) for state in ("completed", "stopped", "failed")}
    in_order = sorted(ranked, key=lambda row: number(row.get("trial")))
    drawn = [
        (
            pictures.trials(in_order, metric, better, families),
            "Each trial in turn; the line is the best finished so far, hollow dots were stopped early.",
        ),
        (pictures.rungs(in_order, metric, winner), "Each trial as it trained; the winner stands out."),
    ]
    return {
        "metric": metric,
        "contest": _contest(files),
        "board": board,
        "baselines": [
            (str(row.get("name", "–")), str(row.get("about", "")), figure(number(row.get("value"))))
            for row in files.baselines
        ],
        "fixed": fixed,
        "total": len(ranked),
        "states": [(state, n) for state, n in states.items() if n],
        "seconds": clock(
            sum(number(row.get("seconds")) for row in ranked if math.isfinite(number(row.get("seconds"))))
        ),
        "pictures": [(picture, words) for picture, words in drawn if picture],
        "missing": _absent(files, "trials.jsonl"),
    }


def _contest(files: RunFiles) -> list[View]:
    """The families side by side, where several competed."""

    def reach(row: Row, low: str, high: str) -> str:
        return f"{figure(number(row.get(low)))} … {figure(number(row.get(high)))}"

    return [
        {
            "family": row.get("family", "–"),
            "value": figure(number(row.get("value"))),
            "reach": reach(row, "low", "high"),
            "behind": figure(number(row.get("behind"))) if place else "–",
            "behind_reach": reach(row, "behind_low", "behind_high") if place else "–",
            "verdict": "" if not place else "more than noise" if row.get("beyond_noise") else "within noise",
            "trials": count(number(row.get("trials"))),
            "seconds": clock(number(row.get("seconds"))),
            "size_mb": figure(number(row.get("size_mb"))),
            "latency_ms": figure(number(row.get("latency_ms"))),
        }
        for place, row in enumerate(files.families)
    ]


def reproducibility(files: RunFiles) -> View:
    """Fingerprints, versions, seeds, timings and the text of the spec."""
    timings = [
        (stage, number(seconds))
        for stage, seconds in section(files.manifest, "seconds").items()
        if math.isfinite(number(seconds))
    ]
    longest = max((seconds for _, seconds in timings), default=0.0) or 1.0
    told = {
        key: value
        for key, value in files.manifest.items()
        if key not in ("rows", "seconds", "times", "spec", "trials", "data")
    }
    told["data"] = {
        name: section(files.manifest, "data", name).get("fingerprint") for name in section(files.manifest, "data")
    }
    if files.model_fingerprint:
        told["model bundle"] = files.model_fingerprint
    model = [(key, _written(value)) for key, value in files.model.items() if not isinstance(value, Mapping | list)]
    return {
        "timings": [(stage, clock(seconds), length(seconds / longest)) for stage, seconds in timings],
        "total": clock(sum(seconds for _, seconds in timings)),
        "facts": facts(told),
        "model": (
            model
            + [
                (f"calibration: {key}", _written(value))
                for key, value in files.calibration.items()
                if not isinstance(value, Mapping | list)
            ]
        ),
        "params": facts(section(files.model, "params")),
        "spec": files.spec_text,
        "missing": _absent(files, "manifest.json", "spec.yaml", "model/model.json"),
    }


def facts(value: Row, most: int = MAX_FACTS) -> list[tuple[str, str]]:
    """Nested JSON as (dotted name, text) lines, cut at `most` with a count of the rest."""
    lines = list(_flat(value))
    return lines if len(lines) <= most else [*lines[:most], ("…", f"{len(lines) - most} more in manifest.json")]


def _flat(value: Row, prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{name} › ")
        else:
            yield name, _written(item)


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return (
            ", ".join(_written(item) for item in value[:20])
            + (f" and {len(value) - 20} more" if len(value) > 20 else "")
            if value
            else "–"
        )
    return "–" if value is None or value == {} else brief(value, 400)


def _varied(trials: Iterable[Row]) -> set[tuple[str, str]]:
    """The hyperparameters that differ between trials of a family, as (family, name)."""
    seen: dict[tuple[str, str], set[str]] = {}
    for row in trials:
        for key, value in section(row, "params").items():
            seen.setdefault((str(row.get("family")), key), set()).add(str(value))
    return {name for name, values in seen.items() if len(values) > 1}


def _rounds(row: Row) -> str:
    if math.isfinite(number(row.get("rounds"))):
        return count(number(row.get("rounds")))
    last = next(reversed(rows_of(row.get("rungs"))), None)
    return count(number(last[0])) if isinstance(last, list) and last else "–"


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _absent(files: RunFiles, *names: str) -> list[str]:
    return [files.missing[name] for name in names if name in files.missing]


def _span(times: object) -> str:
    """From which day to which a part's rows are, or nothing where they have no time."""
    days = [str(time)[:10] for time in times] if isinstance(times, list) else []
    return " to ".join(dict.fromkeys(days))
