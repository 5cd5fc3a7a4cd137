"""Plain columns for people and for `grep`."""

from typing import Any

import typer


def print_table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows below their heads; `none` if there is no row."""
    lines = [heads, *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines if rows else [("  none" if heads[0].startswith(" ") else "none",)]:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=False)).rstrip())


def cell(value: Any) -> str:
    """The text of one value; `-` if there is none."""
    text = ", ".join(value) if isinstance(value, list) else value
    return "-" if text in (None, "") else str(text)
