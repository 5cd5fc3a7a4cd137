"""YAML 1.2 core, read strictly: what two readers could read differently is refused.

Built from ruamel.yaml's events, one by one, so that a hostile file is refused before it costs anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ray_pipeline.errors import Problem, SpecError
from ray_pipeline.redaction import SECRET_NAME, redacted
from ray_pipeline.spec.source_map import Place, dotted

MAX_NESTED = 32
MAX_NODES = 100_000
MAX_DIGITS = 308  # such an integer can still be a float
CORE = "tag:yaml.org,2002:"

_NULL = ("", "~", "null", "Null", "NULL")
_BOOLEAN = {word: word[0] in "tT" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INTEGER = re.compile(r"[-+]?\d+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_AMBIGUOUS = re.compile(r"[-+]?0\d+")


@dataclass
class _Open:
    """A mapping or list that is being filled."""

    value: dict[str, Any] | list[Any]
    place: Place
    anchor: str | None
    key: str | None = None
    seen: dict[str, int] = field(default_factory=dict)


class YAMLBuilder:
    """Plain values from the events of one document, with the line of each key, and every problem."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.result: Any = None
        self.nodes = 0
        self.documents = 0

    def build(self) -> tuple[Any, dict[Place, int], list[Problem]]:
        """The value, the lines of its parts, and what is wrong with the text."""
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            for event in self._events():
                self._take(event)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(str(word) for word in (error.context, error.problem) if word)
            self._syntax(what, mark.line + 1 if mark else None, mark.column + 1 if mark else None)
        except YAMLError as error:
            position = getattr(error, "position", None)
            character = getattr(error, "character", 0)
            name = f"U+{character if isinstance(character, int) else ord(character[:1]):04X}"
            self._syntax(
                f"the control character {name} is not allowed", self.text[: position or 0].count("\n") + 1, None
            )
        except SpecError as error:
            self.problems.extend(error.problems)
        return self.result, self.lines, self.problems

    def _events(self) -> Iterator[Any]:
        from ruamel.yaml import YAML

        yield from YAML(typ="safe", pure=True).parse(self.text)

    def _syntax(self, what: str, line: int | None, column: int | None) -> None:
        shown = self.text.splitlines()[line - 1].strip() if line and line <= len(self.text.splitlines()) else ""
        shown = "" if SECRET_NAME.search(shown) else shown
        fix = (
            "indent with spaces, not tabs"
            if "\\t" in what
            else "put ${env:…} in quotes here"
            if "${" in shown
            else "correct the line"
        )
        column_text = f", column {column}" if column else ""
        self.problems.append(
            Problem(
                file=self.file,
                line=line,
                found=f"this is not YAML: {what}{column_text}{f': {redacted(shown)[:80]}' if shown else ''}",
                fix=fix,
            )
        )

    def _report(self, event: Any, found: str, fix: str, place: Place = ()) -> None:
        self.problems.append(
            Problem(file=self.file, line=event.start_mark.line + 1, key=dotted(place) or None, found=found, fix=fix)
        )

    def _stop(self, event: Any, found: str, fix: str) -> None:
        raise SpecError(Problem(file=self.file, line=event.start_mark.line + 1, found=found, fix=fix))

    def _take(self, event: Any) -> None:
        match type(event).__name__:
            case "DocumentStartEvent":
                self.documents += 1
                if self.documents > 1:
                    self._stop(event, "a second document starts here", "one file holds one document; remove the '---'")
            case "ScalarEvent":
                event.value = self._whole_characters(event)
                if self._is_key():
                    self._key(event)
                else:
                    self._put(event, self._scalar(event), event.anchor)
            case "AliasEvent":
                if event.anchor not in self.anchors:
                    self._stop(event, f"there is no anchor &{event.anchor} before this", "write the value out")
                if self._is_key():
                    self._stop(event, "a key cannot be an alias", "write the key out")
                value, size = self.anchors[event.anchor]
                self._count(event, size)
                self._put(event, value, None)
            case "MappingStartEvent" | "SequenceStartEvent":
                mapping = type(event).__name__ == "MappingStartEvent"
                if self._is_key():
                    self._stop(event, "a key must be plain text, not a list or mapping", "put it in quotes")
                self._tag(event, "map" if mapping else "seq")
                if len(self.open) >= MAX_NESTED:
                    self._stop(event, f"more than {MAX_NESTED} levels of nesting", "flatten it")
                self._count(event, 1)
                self.open.append(_Open({} if mapping else [], self._place(event), event.anchor))
            case "MappingEndEvent" | "SequenceEndEvent":
                done = self.open.pop()
                value = done.value if isinstance(done.value, dict) else tuple(done.value)
                self._store(value, done.anchor)

    def _whole_characters(self, event: Any) -> str:
        """The text, with the two halves of a character joined, as JSON writes them."""
        text = str(event.value)
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            half = next(one for one in text if "\ud800" <= one <= "\udfff")
            self._stop(event, f"U+{ord(half):04X} is half of a character", "write the whole character, or remove it")
            raise

    def _is_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, dict) and self.open[-1].key is None

    def _count(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self._stop(event, f"it expands to more than {MAX_NODES:,} values", "write it without aliases")

    def _place(self, event: Any) -> Place:
        """The place of the value that starts here; its line is kept."""
        if not self.open:
            return ()
        top = self.open[-1]
        step: str | int = top.key if isinstance(top.value, dict) else len(top.value)  # type: ignore[assignment]
        place = (*top.place, step)
        self.lines.setdefault(place, event.start_mark.line + 1)
        return place

    def _key(self, event: Any) -> None:
        top = self.open[-1]
        line = event.start_mark.line + 1
        place = (*top.place, event.value)
        if event.value == "<<" and event.implicit[0]:
            self._stop(event, "merge keys (<<) are not YAML 1.2", "write the keys out")
        if first := top.seen.get(event.value):
            where = f"at lines {first} and {line}" if first != line else f"both in line {line}"
            self._report(event, f"the key is given twice, {where}", "remove one", place)
        top.seen.setdefault(event.value, line)
        top.key = event.value
        self.lines.setdefault(place, line)

    def _put(self, event: Any, value: Any, anchor: str | None) -> None:
        self._place(event)
        self._count(event, 1)
        self._store(value, anchor)

    def _store(self, value: Any, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = (value, _size(value))
        if not self.open:
            self.result = value
            return
        top = self.open[-1]
        if isinstance(top.value, dict):
            top.value[str(top.key)] = value
            top.key = None
        else:
            top.value.append(value)

    def _tag(self, event: Any, *allowed: str, place: Place = ()) -> None:
        tag = str(event.tag) if event.tag else ""
        if tag and tag.removeprefix(CORE) not in allowed:
            self._report(event, f"the tag {tag.replace(CORE, '!!')} is not allowed", "write plain values only", place)

    def _scalar(self, event: Any) -> Any:
        self._tag(event, "str", place=self._place(event))
        written = event.value
        if event.style is not None or event.tag:
            return written
        if written in _NULL:
            return None
        if written in _BOOLEAN:
            return _BOOLEAN[written]
        if _AMBIGUOUS.fullmatch(written):
            self._report(
                event,
                f"{written} is ambiguous: YAML 1.1 reads an octal number",
                f'write {int(written)} or "{written}"',
                self._place(event),
            )
            return None
        if _NOT_FINITE.fullmatch(written):
            self._report(event, f"{written} is not finite", "write a number", self._place(event))
            return None
        if len(written) <= MAX_DIGITS and _INTEGER.fullmatch(written):
            return int(written)
        if _BASED.fullmatch(written) and len(written) < 20:
            return int(written[2:], 8 if written[1] == "o" else 16)
        if _FLOAT.fullmatch(written):
            number = float(written)
            if number in (float("inf"), float("-inf")):
                self._report(
                    event, f"{written[:30]} is too large for a number", "write a smaller one", self._place(event)
                )
            return number
        return written


def _size(value: Any) -> int:
    """Values in a value, itself included; lists and mappings that aliases share count each time."""
    if isinstance(value, dict):
        return 1 + sum(_size(item) for item in value.values())
    return 1 + sum(_size(item) for item in value) if isinstance(value, tuple) else 1
