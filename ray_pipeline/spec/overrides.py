"""`--set a.b=c`: one key of the file replaced from the command line, before anything is checked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ray_pipeline.errors import Problem
from ray_pipeline.spec.source_map import Place, Text, parse_value

_STEP = re.compile(r"`([^`]+)`|([^.`\[\]]+)|\[(\d+)\]")
SOURCE = "--set"


@dataclass(frozen=True)
class Overrides:
    """Keys with their new values, and what was wrong with the others."""

    values: tuple[tuple[Place, Any], ...]
    problems: tuple[Problem, ...]

    @classmethod
    def parse(cls, sets: Sequence[str]) -> Self:
        """What `key=value` texts mean; the value is YAML, odd keys stand in backticks."""
        values, problems = [], []
        for written in sets:
            key, equals, value = written.partition("=")
            place = _place(key.strip())
            if not equals or place is None:
                problems.append(
                    Problem(
                        key=SOURCE, found=f"{written!r} is not key=value", fix="write for example --set search.trials=8"
                    )
                )
                continue
            try:
                values.append((place, parse_value(value)))
            except ValueError as error:
                problems.append(
                    Problem(
                        key=key.strip(), found=f"in {SOURCE} {written!r}: {error}", fix="write the value as in the file"
                    )
                )
        return cls(tuple(values), tuple(problems))

    def applied(self, text: Text) -> Text:
        """The text with the values in place; keys that were set have no line of the file."""
        data, lines = text.data, dict(text.lines)
        for place, value in self.values:
            data = _put(data, place, value)
            lines = {known: line for known, line in lines.items() if known[: len(place)] != place}
        return replace(text, data=data, lines=lines)


def _place(key: str) -> Place | None:
    place: list[str | int] = []
    at = 0
    while at < len(key):
        match = _STEP.match(key, at)
        if match is None:
            return None
        place.append(int(match[3]) if match[3] else match[1] or match[2])
        at = match.end()
        if at < len(key) and key[at] == ".":
            at += 1
            if at == len(key):
                return None
    return tuple(place) or None


def _put(data: Any, place: Place, value: Any) -> Any:
    """A copy of the data with the value at the place; `model: xgboost` opens up to hold its hyperparameters."""
    if not place:
        return value
    step, rest = place[0], place[1:]
    if isinstance(step, int) or (isinstance(data, tuple) and str(step).isdigit()):
        items = list(data) if isinstance(data, tuple) else []
        position = int(step)
        if position < len(items):
            items[position] = _put(items[position], rest, value)
        else:
            items.append(_put({}, rest, value))
        return tuple(items)
    given = dict(data) if isinstance(data, Mapping) else {}
    inner = given.get(step)
    if step == "model" and len(rest) > 1 and isinstance(inner, str | tuple):
        inner = {word: {} for word in ((inner,) if isinstance(inner, str) else inner)}
    given[step] = _put(inner, rest, value)
    return given
