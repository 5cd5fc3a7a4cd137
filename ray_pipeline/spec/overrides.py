"""`--set a.b=c`: one key of the file is replaced from the command line, before anything is checked."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ray_pipeline.errors import Problem
from ray_pipeline.spec.source_map import OPTION, Place, SourceMap
from ray_pipeline.spec.yaml_file import parse_value

_STEP = re.compile(r"`([^`]+)`|([^.`\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Keys with their new values, and what is wrong with the others."""

    values: tuple[tuple[Place, Any], ...]
    problems: tuple[Problem, ...]

    @classmethod
    def parse(cls, sets: Sequence[str]) -> Self:
        """The meaning of `key=value` texts. The value is YAML; odd keys stand in backticks."""
        values, problems = [], []
        for written in sets:
            key, equals, value = written.partition("=")
            # The bytes of a command line that are no UTF-8 arrive as halves of characters.
            place = None if re.search(r"[\ud800-\udfff]", written) else _place(key.strip())
            if not equals or place is None:
                problems.append(Problem(key=OPTION, found=f"{written!r} is not key=value", fix=_example(written)))
                continue
            try:
                values.append((place, parse_value(value)))
            except ValueError as error:
                found = f"in {OPTION} {written!r}: {error}"
                problems.append(Problem(key=key.strip(), found=found, fix="write the value as in the file"))
        return cls(values=tuple(values), problems=tuple(problems))

    def applied(self, source: SourceMap) -> SourceMap:
        """The content with the new values. Keys that were set have no line in the file."""
        data, lines = source.data, dict(source.lines)
        for place, value in self.values:
            data = _put(data, place, value)
            lines = {known: line for known, line in lines.items() if known[: len(place)] != place}
        return replace(source, data=data, lines=lines)


def _example(written: str) -> str:
    """How the text would be right, as far as it says a key."""
    key, *value = re.split(r"[\s=:]+", written.strip(), maxsplit=1)
    if _place(key) is None or not key.isascii():
        return f"write for example {OPTION} search.trials=8"
    text = value[0] if value and value[0] else "VALUE"
    return f"write {OPTION} {shlex.quote(f'{key}={text}')}"


def _place(key: str) -> Place | None:
    """The steps of a dotted key; None where it is none."""
    place: list[str | int] = []
    start = 0
    while start < len(key):
        match = _STEP.match(key, start)
        if match is None:
            return None
        place.append(int(match[3]) if match[3] else match[1] or match[2])
        start = match.end()
        if start < len(key) and key[start] == ".":
            start += 1
            if start == len(key):
                return None
    return tuple(place) or None


def _put(data: Any, place: Place, value: Any) -> Any:
    """A copy of the data with the value at the place; `model: xgboost` becomes a mapping to hold hyperparameters."""
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
    content = dict(data) if isinstance(data, Mapping) else {}
    inner = content.get(step)
    if step == "model" and len(rest) > 1 and isinstance(inner, str | tuple):
        inner = {family: {} for family in ((inner,) if isinstance(inner, str) else inner)}
    content[step] = _put(inner, rest, value)
    return content
