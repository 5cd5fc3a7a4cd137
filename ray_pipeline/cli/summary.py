"""What a person reads when a run has ended: the verdict and its reason, metrics, gates, bias, and where time went."""

import re
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from ray_pipeline.decimal_text import decimal_text
from ray_pipeline.duration import clock

MARGIN = 9
"""Columns of the word at the begin of a line."""
OTHER = "start and end"
"""What is between the stages: imports, the start and the end of Ray."""
Row = dict[str, Any]


def print_run(
    answer: Row, findings: Iterable[Row] = (), bias: Iterable[Row] = (), whole_s: float | None = None
) -> None:
    """Print the answer of a run.

    Parameters
    ----------
    answer
        What `run --json` prints.
    findings
        What was found when the model was evaluated.
    bias
        The rows of bias.json.
    whole_s
        Seconds of the whole command; by default those of its stages.
    """
    rows, dropped = answer["rows"], answer["rows"].get("dropped", {})
    typer.echo(f"\n{answer['run']}: {verdict(answer)}")
    parts = ", ".join(f"{rows[part]:,} {part}" for part in ("train", "validation", "test"))
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items() if n)
    typer.echo(f"rows     {parts}" + (f"; dropped {reasons}" if reasons else ""))
    chosen = "chosen from" if answer["family"] == "ensemble" else "the best of"
    typer.echo(f"model    {answer['family']}, {chosen} {answer['trials']} trials")
    print_scorecard(answer)
    print_bias(bias)
    print_findings(findings)
    typer.echo(f"time     {_times(answer['seconds'], whole_s)}")
    typer.echo(f"report   {answer['report']}")


def print_repeats(answer: Row) -> None:
    """Print mean and spread of each metric over the seeds of `--repeat`."""
    failed = sum(one["status"] == "error" for one in answer["repeats"])
    seeds = ", ".join(str(one["seed"]) for one in answer["repeats"])
    typer.echo(f"\nseeds    {seeds}" + (f"; {failed} failed" if failed else ""))
    for name, mean in answer["mean"].items():
        values = [one["metrics"][name] for one in answer["repeats"] if one["metrics"].get(name) is not None]
        spread = answer["spread"][name]
        if mean is not None:
            around = "" if spread is None else f" ± {decimal_text(spread)}"
            reach = f"{decimal_text(min(values))} to {decimal_text(max(values))}"
            typer.echo(f"  {name:<20} {decimal_text(mean)}{around}  ({reach})")
    for one in answer["repeats"]:
        for problem in one["problems"]:
            typer.echo(f"  ! seed {one['seed']}: {problem['found']}")


def verdict(answer: Row) -> str:
    """Return how a run ended and why, in a sentence.

    Examples
    --------
    >>> verdict({"status": "registered", "model": "models:/loans/1", "gates": []})
    'registered as models:/loans/1: there is no gate to pass'
    """
    model = answer["model"]
    reason = reason_of(answer["gates"])
    if any(not gate["passed"] for gate in answer["gates"]):
        return f"refused because {reason}" + (f"; registered all the same as {model}, without alias" if model else "")
    return f"registered as {model}: {reason}" if model else f"{reason}; not registered, because the spec says so"


def reason_of(gates: Sequence[Row]) -> str:
    """Return which gates decided, in words."""
    failed = [gate for gate in gates if not gate["passed"]]
    if not failed:
        return (
            "there is no gate to pass"
            if not gates
            else "its gate passed"
            if len(gates) == 1
            else f"all {len(gates)} gates passed"
        )
    why = f": {failed[0]['why']}" if failed[0].get("why") else ""
    first = f"`{failed[0]['gate']}` does not hold{why}"
    return first if len(failed) == 1 else f"{len(failed)} of {len(gates)} gates failed; the first: {first}"


def print_scorecard(answer: Row) -> None:
    """Print metrics and gates with their intervals."""
    lines = [(name, _estimate(metric)) for name, metric in answer["metrics"].items()]
    _print_pairs(lines)
    marked = [(f"{'✔' if gate['passed'] else '✘'} {gate['gate']}", gate) for gate in answer["gates"]]
    _print_pairs([(name, against_champion(gate, _estimate(gate))) for name, gate in marked])


def against_champion(gate: Row, value: str) -> str:
    """Return the value of a gate as a person reads it: beside a champion, it is a difference.

    Parameters
    ----------
    gate
        The gate as scorecard.json has it.
    value
        Its value in digits.

    Examples
    --------
    >>> against_champion({"gate": "auc >= champion - 0.01", "value": -0.0077, "champion": 0.7}, "-0.0077")
    '-0.0077 against the champion'
    >>> against_champion({"gate": "mae <= champion * 0.9", "value": -2, "champion": 40}, "-2")
    '-2 against 0.9 times the champion'
    >>> against_champion({"gate": "auc >= champion", "passed": True, "value": 0.7, "champion": None}, "0.7")
    'no champion to compare with yet'
    >>> against_champion({"gate": "auc >= 0.6", "value": 0.7}, "0.7")
    '0.7'
    """
    if "champion" not in gate:
        return value
    if gate["champion"] is None:
        return "no champion to compare with yet" if gate["passed"] else value
    times = re.search(r"champion\s*\*\s*(\S+)", gate["gate"])
    return f"{value} against {f'{times[1]} times ' if times else ''}the champion"


def print_bias(rows: Iterable[Row]) -> None:
    """Print the four-fifths rule and the largest gap, for each slicing into groups."""
    by_columns: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("reduction") and row["value"] is not None:
            by_columns.setdefault(" × ".join(row["group"]), []).append(row)
    for columns, reduced in by_columns.items():
        rule = next((row for row in reduced if row.get("four_fifths")), None)
        gaps = [row for row in reduced if row["reduction"] == "gap"]
        said = [f"four-fifths rule {_RULE[rule['four_fifths']]}, {_between(rule)}"] if rule else []
        # Without rates the measures have units of their own, and no gap is comparable with another.
        largest = max(gaps, key=lambda row: row["value"]) if rule and gaps else next(iter(gaps), None)
        said += [f"{'largest gap: ' if rule else ''}{_between(largest)}"] if largest else []
        for place, text in enumerate(said):
            typer.echo(f"{'bias' if place == 0 else '':<{MARGIN}}by {columns}: {text}")


_RULE = {"kept": "kept", "broken": "broken", "open": "undecided"}


def print_findings(findings: Iterable[Row]) -> None:
    """Print each finding with its fix."""
    for finding in findings:
        typer.echo(f"  ! {finding['found']}; {finding['fix']}")


def _times(seconds: dict[str, float], whole_s: float | None) -> str:
    """All seconds, then each stage, the longest first."""
    stages = sum(seconds.values())
    whole = max(whole_s or stages, stages)
    spent = {**seconds, OTHER: whole - stages}
    longest = sorted((name for name in spent if spent[name] >= 0.05), key=lambda name: -spent[name])
    return f"{clock(whole)}: {', '.join(f'{name} {clock(spent[name])}' for name in longest)}"


def _between(row: Row) -> str:
    groups = " × ".join(row["group"].values())
    return f"{row['measure']} {_estimate(row).replace('  ', ' ')}" + (f", {groups}" if groups else "")


def _print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns; one below the other where both are too long for the terminal."""
    width, columns = max((len(name) for name, _ in pairs), default=0), shutil.get_terminal_size().columns
    for name, value in pairs:
        narrow = columns < 2 + width + 2 + len(value)
        typer.echo(f"  {name}\n    {value}" if narrow else f"  {name:<{width}}  {value}")


def _estimate(row: Row) -> str:
    """The value and its interval, or why there is none."""
    if row["value"] is None and row.get("why"):
        return f"   -    {row['why']}"
    value, low, high = (decimal_text(row[key]) for key in ("value", "low", "high"))
    return f"{value}  [{low}, {high}]"
