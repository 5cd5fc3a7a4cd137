"""What a person reads when a run has ended: metrics with their intervals, gates, and where the report is."""

from collections.abc import Iterable
from typing import Any

import typer


def print_run(answer: dict[str, Any], findings: Iterable[dict[str, Any]] = ()) -> None:
    """Print the answer of a run, and what was found when it was evaluated."""
    rows, dropped = answer["rows"], answer["rows"].get("dropped", {})
    typer.echo(f"\n{answer['run']}: {answer['status']}" + (f" as {answer['model']}" if answer["model"] else ""))
    parts = ", ".join(f"{rows[part]:,} {part}" for part in ("train", "validation", "test"))
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items() if n)
    typer.echo(f"rows     {parts}" + (f"; dropped {reasons}" if reasons else ""))
    seconds = sum(answer["seconds"].values())
    typer.echo(f"model    {answer['family']}, the best of {answer['trials']} trials, {seconds:.0f} s in all")
    print_scorecard(answer)
    print_findings(findings)
    typer.echo(f"report   {answer['report']}")


def print_scorecard(answer: dict[str, Any]) -> None:
    """Print metrics and gates with their intervals."""
    for name, metric in answer["metrics"].items():
        typer.echo(f"  {name:<20} {_estimate(metric)}")
    for gate in answer["gates"]:
        why = "" if gate["passed"] or not gate.get("why") else f"  {gate['why']}"
        typer.echo(f"  {'✔' if gate['passed'] else '✘'} {gate['gate']:<44} {_estimate(gate)}{why}")


def print_findings(findings: Iterable[dict[str, Any]]) -> None:
    """Print each finding with its fix."""
    for finding in findings:
        typer.echo(f"  ! {finding['found']}; {finding['fix']}")


def _estimate(row: dict[str, Any]) -> str:
    value, low, high = ("   -  " if row[key] is None else f"{row[key]:.4f}" for key in ("value", "low", "high"))
    return f"{value}  [{low}, {high}]"
