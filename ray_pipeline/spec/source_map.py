"""Where each value of a file stands, so that a message can name its line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray_pipeline.errors import Problem

Place = tuple[str | int, ...]
"""The keys and positions that lead to a value."""


@dataclass(frozen=True, kw_only=True)
class SourceMap:
    """A file's content as plain values, with the line of each key and list item; lists are tuples."""

    file: str
    data: dict[str, Any]
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int | None:
        """The line of a key, or of the nearest key around it."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return None


def dotted(place: Place) -> str:
    """A place as a person writes it.

    >>> dotted(("features", "labels", "columns", 2))
    'features.labels.columns[2]'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def problem_at(source: SourceMap, place: Place, found: str, fix: str) -> Problem:
    """A problem with the value at a place, with its file, line and dotted key."""
    return Problem(file=source.file, line=source.line(place), key=dotted(place), found=found, fix=fix)
