"""The search: the leaderboard, the families and the pictures of the trials."""

import math
from collections.abc import Iterable

from ray_pipeline.report import pictures
from ray_pipeline.report.format import (
    Context,
    better,
    format_count,
    format_duration,
    format_number,
    format_share,
    shorten,
)
from ray_pipeline.report.hyperparameters import importances
from ray_pipeline.report.run_files import JsonObject, RunFiles, list_of, nested, number, objects_of
from ray_pipeline.report.sections.reproducibility import format_json
from ray_pipeline.report.svg import share_bar

MAX_TRIALS, MAX_IMPORTANT = 20, 12


def context(files: RunFiles) -> Context:
    """Return the leaderboard, the best trials first, with the families and the pictures."""
    metric = files.metric
    sign = -1 if better(metric) == "higher" else 1

    def rank(row: JsonObject) -> tuple[bool, float]:
        value = sign * number(row.get("metric"))
        finite = math.isfinite(value)
        return row.get("status") != "completed" or not finite, value if finite else math.inf

    ranked = sorted(files.trials, key=rank)
    searched = _searched(ranked)
    winner = ranked[0].get("trial") if ranked and not rank(ranked[0])[0] else None
    states = {state: sum(row.get("status") == state for row in ranked) for state in ("completed", "stopped", "failed")}
    seconds = [number(row.get("seconds")) for row in ranked]
    return {
        "metric": metric,
        "fit": _fit(nested(files.model, "fit")),
        "families": [_family(place, row) for place, row in enumerate(files.families)],
        "leaderboard": [_trial(row, searched) for row in ranked[:MAX_TRIALS]],
        "baselines": [
            (str(row.get("name", "–")), str(row.get("about", "")), format_number(row.get("value")))
            for row in files.baselines
        ],
        "fixed": _params(ranked[0], searched, shown=False) if ranked else [],
        "importance": _importance(ranked, searched),
        "total": len(ranked),
        "states": [(state, n) for state, n in states.items() if n],
        "seconds": format_duration(sum(spent for spent in seconds if math.isfinite(spent))),
        "pictures": _pictures(ranked, metric, winner),
        "missing": files.why_missing("trials.jsonl"),
    }


def _fit(fit: JsonObject) -> Context:
    """What the registered model is fitted on, why, and each backtest in words; empty where the model does not say."""
    if not fit:
        return {}
    tests = [
        f"{format_count(one.get('rows'))} rows, then {format_count(one.get('added'))} more, scored on"
        f" {format_count(one.get('scored'))}: {number(one.get('gain')):+.4g} ± {format_number(one.get('error'))}"
        for one in objects_of(fit.get("backtests"))
    ]
    return {"on": fit.get("on", "–"), "why": fit.get("why", "–"), "backtests": tests}


def _trial(row: JsonObject, searched: set[tuple[str, str]]) -> Context:
    return {
        "trial": row.get("trial", "–"),
        "family": row.get("family", "–"),
        "metric": format_number(row.get("metric")),
        "rounds": _rounds(row),
        "seconds": format_duration(row.get("seconds")),
        "status": row.get("status", "–"),
        "why": row.get("why") or "",
        "params": _params(row, searched, shown=True),
    }


def _pictures(ranked: list[JsonObject], metric: str, winner: object) -> list[tuple[str, str]]:
    """The pictures of the trials that can be drawn, with their captions."""
    in_order = sorted(ranked, key=lambda row: number(row.get("trial")))
    families = sorted({str(row.get("family")) for row in ranked})
    drawn = [
        (
            pictures.trials(in_order, metric, better(metric), families),
            "Each trial in turn; the line is the best finished so far, hollow dots were stopped early.",
        ),
        (pictures.rungs(in_order, metric, winner), "Learning curves: each trial as it trained; the winner stands out."),
    ]
    return [(picture, caption) for picture, caption in drawn if picture]


def _importance(ranked: list[JsonObject], searched: set[tuple[str, str]]) -> list[tuple[str, list[Context]]]:
    """For each family with enough trials: the share of each hyperparameter in what made a difference."""
    families: dict[str, list[JsonObject]] = {}
    for row in ranked:
        if math.isfinite(number(row.get("metric"))):
            families.setdefault(str(row.get("family")), []).append(row)
    tables = []
    for family, rows in families.items():
        params = [
            {key: value for key, value in nested(row, "params").items() if (family, key) in searched} for row in rows
        ]
        shares = importances(params, [number(row["metric"]) for row in rows])
        if shares:
            lines = [
                {"name": shorten(name, 60), "share": format_share(share, 1.0), "bar": share_bar(share)}
                for name, share in list(shares.items())[:MAX_IMPORTANT]
            ]
            tables.append((shorten(family, 60), lines))
    return tables


def _family(place: int, row: JsonObject) -> Context:
    """One line of the comparison of families; the first has the best value."""
    noise = "" if not place else "more than noise" if row.get("beyond_noise") else "within noise"

    def interval(low: str, high: str) -> str:
        return f"{format_number(row.get(low))} … {format_number(row.get(high))}"

    return {
        "family": row.get("family", "–"),
        "value": format_number(row.get("value")),
        "interval": interval("low", "high"),
        "behind": format_number(row.get("behind")) if place else "–",
        "behind_interval": interval("behind_low", "behind_high") if place else "–",
        "verdict": ", ".join(filter(None, (noise, "chosen" if row.get("chosen") else ""))),
        "trials": format_count(row.get("trials")),
        "seconds": format_duration(row.get("seconds")),
        "size_mb": format_number(row.get("size_mb")),
        "latency_ms": format_number(row.get("latency_ms")),
    }


def _searched(trials: Iterable[JsonObject]) -> set[tuple[str, str]]:
    """The hyperparameters that differ between trials of a family, as (family, name)."""
    values: dict[tuple[str, str], set[str]] = {}
    for row in trials:
        for key, value in nested(row, "params").items():
            values.setdefault((str(row.get("family")), key), set()).add(str(value))
    return {name for name, seen in values.items() if len(seen) > 1}


def _params(row: JsonObject, searched: set[tuple[str, str]], *, shown: bool) -> list[tuple[str, str]]:
    """The hyperparameters of a trial that were searched (`shown`), or those that were not."""
    params = nested(row, "params").items()
    return [(key, format_json(value)) for key, value in params if ((str(row.get("family")), key) in searched) == shown]


def _rounds(row: JsonObject) -> str:
    """The rounds of a trial, else those of its last rung."""
    if math.isfinite(number(row.get("rounds"))):
        return format_count(row["rounds"])
    last = next(reversed(list_of(row.get("rungs"))), None)
    return format_count(last[0]) if isinstance(last, list) and last else "–"
