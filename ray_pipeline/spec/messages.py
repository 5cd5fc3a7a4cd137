"""pydantic's findings in plain words, each with file, line and dotted key."""

import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from ray_pipeline.components.choice import UnknownChoice
from ray_pipeline.errors import Problem, nearest
from ray_pipeline.spec.field_types import looks_secret, shown
from ray_pipeline.spec.repair import Mistake
from ray_pipeline.spec.source_map import Place, SourceMap, dotted

OWN = "message"
"""pydantic's type of the findings that carry a `Message`."""
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
_NOUNS = ("task",)
SAME = (
    ("n_estimators", "num_boost_round", "num_iterations", "iterations", "n_epochs"),
    ("eta", "learning_rate", "lr"),
    ("max_depth", "depth"),
    ("num_leaves", "max_leaves"),
    ("bagging_fraction", "subsample"),
    ("colsample_bytree", "feature_fraction", "rsm"),
    ("min_child_samples", "min_data_in_leaf"),
    ("min_child_weight", "min_sum_hessian_in_leaf"),
    ("min_split_loss", "gamma", "min_gain_to_split", "min_split_gain"),
    ("reg_alpha", "lambda_l1"),
    ("reg_lambda", "lambda_l2", "l2_leaf_reg"),
    ("early_stopping_rounds", "early_stopping_round", "early_stopping_epochs"),
)
"""Hyperparameters that families and scikit-learn's interface call by other names."""
_HINT = re.compile(r"(.*); ((?:write|name|remove|compare|add|take|slice|separate|gate|correct)\b[^;]*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Message:
    """What was found at one key, and what to do about it."""

    found: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A finding of our own validators."""

    place: Place
    """The keys below the value that is validated."""
    message: Message
    written: object


def problems(
    error: ValidationError, section: type[BaseModel], source: SourceMap, content: Mapping[str, Any] | None = None
) -> list[Problem]:
    """Every finding as a problem, in the order of the file; none for a value that is written nowhere.

    Parameters
    ----------
    error
        What pydantic raised.
    section
        The class that describes the whole.
    source
        The file.
    content
        What was validated, without defaults, if it is a guess at what the file means.
    """
    found: dict[tuple[Place, str], Problem] = {}
    for one in _findings(error):
        if one["type"] != "missing" and not _is_written(one["loc"], section, source, content):
            continue
        place = _place_in_file(one["loc"])
        message = _elsewhere(one, section) or message_of(one, _known(one, section, source))
        file, line = source.origin(place)
        found.setdefault(
            (place, message.found),
            Problem(
                file=file,
                line=1 if line is None and file == source.file else line,
                key=dotted(place) or None,
                found=message.found,
                fix=message.fix,
            ),
        )
    return sorted(found.values(), key=lambda problem: problem.line or 0)


def _is_written(
    loc: tuple[int | str, ...], section: type[BaseModel], source: SourceMap, content: Mapping[str, Any] | None
) -> bool:
    """Whether the file has the value, under this key: neither is it a default, nor is its key itself a guess."""
    if content is not None and not _has(content, loc, section):
        return False
    return _has(source.data, loc, section) or not _has(source.data, loc[:-1], section)


def _has(value: Any, loc: tuple[int | str, ...], section: type[BaseModel]) -> bool:
    """Whether the content has every key of sections on the way to a place."""
    for depth, step in enumerate(loc):
        if loc[:depth] == ("features",) and step in ("tables", "repositories"):
            continue
        if isinstance(value, Mapping) and step not in value:
            return step not in keys(_section(section, loc[:depth]) or BaseModel)
        try:
            value = value[step]
        except (IndexError, TypeError):  # a value without keys, or one name for a list of names
            return True
    return True


def mistakes(error: ValidationError, section: type[BaseModel], source: SourceMap) -> list[Mistake]:
    """Where each finding is, its kind, and the keys that would be known there."""
    found = list[Mistake]()
    for one in _findings(error):
        found.append((_place_in_file(one["loc"]), one["type"], _known(one, section, source)))
    return found


def _known(one: ErrorDetails, section: type[BaseModel], source: SourceMap) -> tuple[str, ...]:
    """The keys that are known beside the one of a finding: those of a table are also those of its kind."""
    parent = _section(section, one["loc"][:-1])
    if parent is None:
        return ()
    of_kind: Callable[[Any], tuple[str, ...]] | None = getattr(parent, "keys_of_kind", None)
    return (*keys(parent), *(of_kind(source.at(_place_in_file(one["loc"])[:-1])) if of_kind else ()))


def message_of(one: ErrorDetails, known: Sequence[str]) -> Message:
    """One finding in plain words.

    Parameters
    ----------
    one
        pydantic's finding.
    known
        The keys that are known where the key stands.
    """
    key = str(one["loc"][-1]) if one["loc"] else ""
    kind, given, context = one["type"], one["input"], one.get("ctx", {})
    if kind == OWN:
        return Message(found=context["found"], fix=context["fix"])
    if kind == "missing":
        return Message(found="it is required, and not given", fix=f"add `{key}:`")
    if kind == "extra_forbidden":
        return unknown_key(key, known)
    if kind == "literal_error":
        return _no_such_word(key, given, re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]])
    if kind in _BOUNDS:
        bound, word = _BOUNDS[kind]
        return Message(
            found=f"expected a number {word} {context[bound]:g}, got {shown(given)}", fix="correct the number"
        )
    if kind == "too_short":
        return Message(found="the list is empty", fix="name at least one, or leave the key out")
    if kind == "value_error" and isinstance(context["error"], UnknownChoice):
        return Message(found=str(context["error"]), fix=context["error"].fix)
    if kind == "value_error":
        return _own_words(str(context["error"]), given)
    if kind in _EXPECTED:
        return Message(found=f"expected {_EXPECTED[kind]}, got {shown(given)}", fix="correct the value")
    return Message(found=f"{one['msg'][0].lower()}{one['msg'][1:]}, got {shown(given)}", fix="correct the value")


def _elsewhere(one: ErrorDetails, section: type[BaseModel]) -> Message | None:
    """What to say of a key at the top level that belongs into a section."""
    key = str(one["loc"][-1]) if one["loc"] else ""
    if one["type"] != "extra_forbidden" or len(one["loc"]) != 1:
        return None
    homes = [name for name in keys(section) if key in keys(_section(section, (name,)) or BaseModel)]
    if not homes:
        return None
    places = " or ".join(f"'{home}.{key}'" for home in homes)
    return Message(found=f"unknown key {key!r}; did you mean {places}?", fix=f"write it as {places}")


def refuse(refusals: Sequence[Refusal]) -> NoReturn:
    """Raises the refusals from a validator; pydantic adds them to its other findings."""
    raise ValidationError.from_exception_data(
        "choice",
        [
            InitErrorDetails(
                type=PydanticCustomError(OWN, "{found}", {"found": one.message.found, "fix": one.message.fix}),
                loc=one.place,
                input=one.written,
            )
            for one in refusals
        ],
    )


def unknown_key(key: str, known: Sequence[str]) -> Message:
    """What to say of a key that no section has."""
    if looks_secret(key) and not nearest(key, known):
        return Message(
            found=f"unknown key {key!r}, which looks like a secret",
            fix="remove it; credentials come from the environment",
        )
    same = next((other for names in SAME if key in names for other in names if other in known), None)
    near = f"did you mean {same!r}? " if same else nearest(key, known)
    return Message(
        found=f"unknown key {key!r}; {near}Known: {', '.join(known)}",
        fix=f"write {same!r}" if same else f"write {_best(key, known)}" if near else "remove it",
    )


def keys(section: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a section as they are written."""
    return tuple(field.alias or name for name, field in section.model_fields.items() if not field.exclude)


def _findings(error: ValidationError) -> list[ErrorDetails]:
    """All but that a list is empty where its items are wrong: pydantic counts only the right ones."""
    errors = error.errors()
    places = [one["loc"] for one in errors]
    return [
        one
        for one in errors
        if one["type"] != "too_short" or not any(place[: len(one["loc"])] == one["loc"] != place for place in places)
    ]


def _no_such_word(key: str, given: object, known: Sequence[str]) -> Message:
    """What to say of a word that is none of the known ones."""
    if isinstance(given, str) and key in _NOUNS:
        return Message(
            found=f"there is no {key} {given!r}; {nearest(given, known)}Known: {', '.join(known)}",
            fix=f"write {_best(given, known)}",
        )
    near = f"; {nearest(given, known)}".rstrip() if isinstance(given, str) and nearest(given, known) else ""
    return Message(
        found=f"expected one of {', '.join(known)}, got {shown(given)}{near}", fix=f"write {_best(str(given), known)}"
    )


def _own_words(error: str, given: object) -> Message:
    """The text of a `ValueError` that a validator raised; what follows `; write ...` is the remedy."""
    if error.startswith("Invalid isoformat string") or "must be in" in error or "out of range" in error:
        error = f"expected a date like 2013-09-01, got {shown(given)}"
    hint = _HINT.fullmatch(error)
    return Message(found=hint[1], fix=hint[2]) if hint else Message(found=error, fix="correct the value")


def _best(word: str, known: Sequence[str]) -> str:
    return nearest(word, known).removeprefix("did you mean ").removesuffix("? ") or f"one of {', '.join(known)}"


def _place_in_file(loc: tuple[int | str, ...]) -> Place:
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
