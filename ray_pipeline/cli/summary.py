"""What a person reads when a run has ended: metrics with their intervals, gates, and where the rest is."""

from typing import Any

import typer


def summarize(answer: dict[str, Any]) -> None:
    """Prints the run's answer for people."""
    rows, dropped = answer["rows"], answer["rows"].get("dropped", {})
    typer.echo(f"\n{answer['run']}: {answer['status']}" + (f" as {answer['model']}" if answer["model"] else ""))
    typer.echo(
        "rows     "
        + ", ".join(f"{rows[part]:,} {part}" for part in ("train", "validation", "test"))
        + (f"; dropped {', '.join(f'{n:,} {why}' for why, n in dropped.items() if n)}" if any(dropped.values()) else "")
    )
    typer.echo(
        f"model    {answer['family']}, the best of {answer['trials']} trials, {sum(answer['seconds'].values()):.0f} s"
        " in all"
    )
    figures(answer)
    typer.echo(f"report   {answer['report']}")


def figures(answer: dict[str, Any]) -> None:
    """Prints metrics and gates with their intervals."""
    for name, found in answer["metrics"].items():
        typer.echo(f"  {name:<20} {_number(found['value'])}  [{_number(found['low'])}, {_number(found['high'])}]")
    for gate in answer["gates"]:
        typer.echo(
            f"  {'✔' if gate['passed'] else '✘'} {gate['gate']:<44} {_number(gate['value'])}  [{_number(gate['low'])},"
            f" {_number(gate['high'])}]" + ("" if gate["passed"] or not gate.get("why") else f"  {gate['why']}")
        )


def _number(value: float | None) -> str:
    return "   -  " if value is None else f"{value:.4f}"
