"""Plain columns for people and for `grep`; one block per row where the terminal is too narrow for them."""

import shutil
import sys
import textwrap
from typing import Any

import typer


def print_table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows below their heads; `none` if there is no row.

    On a terminal that is narrower than the table, each row is a block: its first value, and the others below it, each
    beside its head. What is piped keeps its columns.
    """
    lines = [heads, *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    texts = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=False)).rstrip() for line in lines]
    if not rows:
        typer.echo("  none" if heads[0].startswith(" ") else "none")
    elif sys.stdout.isatty() and max(map(len, texts)) > (columns := shutil.get_terminal_size().columns):
        for line in lines[1:]:
            _print_block(heads, line, columns)
    else:
        for text in texts:
            typer.echo(text)


def _print_block(heads: tuple[str, ...], line: Any, columns: int) -> None:
    """Print one row as lines of at most so many columns; a word that is longer stays whole."""
    margin = " " * (len(heads[0]) - len(heads[0].lstrip()) + 2)
    beside = len(margin) + max(map(len, heads[1:]), default=0) + 2
    typer.echo(line[0])
    for head, text in zip(heads[1:], line[1:], strict=True):
        folded = textwrap.wrap(text, max(columns - beside, 1), break_long_words=False, break_on_hyphens=False)
        typer.echo(f"{margin + head:<{beside}}{folded[0] if folded else ''}".rstrip())
        for rest in folded[1:]:
            typer.echo(" " * beside + rest)


def cell(value: Any) -> str:
    """The text of one value; `-` if there is none."""
    text = ", ".join(value) if isinstance(value, list) else value
    return "-" if text in (None, "") else str(text)
