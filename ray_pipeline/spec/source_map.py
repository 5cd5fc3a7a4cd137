"""Where each value of a file stands, so that a message can name its line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray_pipeline.errors import Problem

OPTION = "--set"
Place = tuple[str | int, ...]
"""The keys and positions that lead to a value."""


@dataclass(frozen=True, kw_only=True)
class SourceMap:
    """A file's content as plain values, with the line of each key and list item; lists are tuples."""

    file: str
    data: dict[str, Any]
    lines: Mapping[Place, int]
    typed: tuple[Place, ...] = ()
    """The places whose values `--set` of the command line has given."""

    def origin(self, place: Place) -> tuple[str, int | None]:
        """The file and the line of a value; `--set KEY` and no line where the command line has given it."""
        for typed in self.typed:
            if place[: len(typed)] == typed or (typed[: len(place)] == place and place not in self.lines):
                return f"{OPTION} {dotted(typed)}", None
        return self.file, self.line(place)

    def at(self, place: Place) -> Any:
        """The value at a place; None if there is none."""
        value: Any = self.data
        for step in place:
            if isinstance(value, Mapping):
                value = value.get(step)
            elif isinstance(value, tuple) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

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
    """A problem with the value at a place, with its origin and dotted key."""
    file, line = source.origin(place)
    return Problem(file=file, line=line, key=dotted(place), found=found, fix=fix)
