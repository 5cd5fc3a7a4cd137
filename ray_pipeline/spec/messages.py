"""pydantic's findings in plain words, each with file, line and dotted key."""

import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from ray_pipeline.errors import Problem, nearest
from ray_pipeline.spec.field_types import looks_secret, shown
from ray_pipeline.spec.source_map import Place, Text, dotted

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "is_instance_of": "a mapping of keys to values",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "of at most"),
}
_NOUNS = ("task", "kind")
_HINT = re.compile(r"(.*); ((?:write|name|remove|compare|add|take|slice|separate|gate|correct)\b[^;]*)", re.DOTALL)


@dataclass(frozen=True)
class Message:
    """What was found at one key, and what would do."""

    found: str
    fix: str


def problems(error: ValidationError, section: type[BaseModel], text: Text) -> list[Problem]:
    """Every finding as a problem, in the order of the file."""
    found: dict[tuple[Place, str], Problem] = {}
    for one in error.errors():
        place = _written(one["loc"])
        parent = _section(section, one["loc"][:-1])
        words = told(one, parent)
        found.setdefault(
            (place, words.found),
            Problem(
                file=text.file, line=text.line(place) or 1, key=dotted(place) or None, found=words.found, fix=words.fix
            ),
        )
    return sorted(found.values(), key=lambda problem: problem.line or 0)


def mistakes(error: ValidationError, section: type[BaseModel]) -> list[tuple[Place, str, tuple[str, ...]]]:
    """Where each finding is, its kind, and the keys that would be known there."""
    found = []
    for one in error.errors():
        parent = _section(section, one["loc"][:-1])
        found.append((_written(one["loc"]), one["type"], keys(parent) if parent else ()))
    return found


def told(one: ErrorDetails, parent: type[BaseModel] | None) -> Message:
    """One finding in plain words; `parent` is the section in which the key stands."""
    key = str(one["loc"][-1]) if one["loc"] else ""
    kind, given, context = one["type"], one["input"], one.get("ctx", {})
    if kind == "told":
        return Message(context["found"], context["fix"])
    if kind == "missing":
        return Message("it is required, and not given", f"add `{key}:`")
    if kind == "extra_forbidden":
        return unknown_key(key, keys(parent) if parent else ())
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        if isinstance(given, str) and key in _NOUNS:
            return Message(
                f"there is no {key} {given!r}; {nearest(given, words)}Known: {', '.join(words)}",
                f"write {_best(given, words)}",
            )
        near = f"; {nearest(given, words)}".rstrip() if isinstance(given, str) and nearest(given, words) else ""
        return Message(
            f"expected one of {', '.join(words)}, got {shown(given)}{near}", f"write {_best(str(given), words)}"
        )
    if kind in _BOUNDS:
        bound, word = _BOUNDS[kind]
        return Message(f"expected a number {word} {context[bound]:g}, got {shown(given)}", "correct the number")
    if kind == "too_short":
        return Message("the list is empty", "name at least one, or leave the key out")
    if kind == "value_error":
        words_of = str(context["error"])
        if words_of.startswith("Invalid isoformat string") or "must be in" in words_of or "out of range" in words_of:
            words_of = f"expected a date like 2013-09-01, got {shown(given)}"
        hint = _HINT.fullmatch(words_of)
        return Message(hint[1], hint[2]) if hint else Message(words_of, "correct the value")
    if kind in _EXPECTED:
        return Message(f"expected {_EXPECTED[kind]}, got {shown(given)}", "correct the value")
    return Message(f"{one['msg'][0].lower()}{one['msg'][1:]}, got {shown(given)}", "correct the value")


def refuse(wrongs: Sequence[tuple[Place, Message, object]]) -> NoReturn:
    """Raises what pydantic adds to its other findings: place within the section, what to say, and what was given."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("told", "{found}", {"found": one.found, "fix": one.fix}), loc=place, input=given
        )
        for place, one, given in wrongs
    ]
    raise ValidationError.from_exception_data("choice", details)


def unknown_key(key: str, known: Sequence[str]) -> Message:
    """What to say of a key that no section has."""
    if looks_secret(key) and not nearest(key, known):
        return Message(
            f"unknown key {key!r}, which looks like a secret", "remove it; credentials come from the environment"
        )
    return Message(
        f"unknown key {key!r}; {nearest(key, known)}Known: {', '.join(known)}",
        f"write {_best(key, known)}" if nearest(key, known) else "remove it",
    )


def keys(section: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a section as they are written."""
    return tuple(field.alias or name for name, field in section.model_fields.items())


def _best(word: str, known: Sequence[str]) -> str:
    return nearest(word, known).removeprefix("did you mean ").removesuffix("? ") or f"one of {', '.join(known)}"


def _written(loc: tuple[int | str, ...]) -> Place:
    """The place in the file: feature tables stand beside `labels` there."""
    return ("features", *loc[2:]) if loc[:2] in (("features", "tables"), ("features", "repositories")) else loc


def _section(section: Any, loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The class that describes the section at the place, if there is one."""
    for step in loc:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = {field.alias or name: field.annotation for name, field in section.model_fields.items()}.get(
                str(step)
            )
        elif typing.get_origin(section) is dict:
            section = typing.get_args(section)[1]
        options = (
            typing.get_args(section)
            if isinstance(section, types.UnionType) or typing.get_origin(section) is typing.Union
            else (section,)
        )
        section = next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), section)
    return section if isinstance(section, type) and issubclass(section, BaseModel) else None
