"""The choices that a spec names by a word: the splitter (`split.by`) and the model families."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, SerializeAsAny, ValidationError, WithJsonSchema

from ray_pipeline.components.choice import Choice, UnknownChoice, find, menu
from ray_pipeline.components.models._base import FILE, Model
from ray_pipeline.components.splitters._base import Splitter
from ray_pipeline.errors import listed, nearest
from ray_pipeline.spec.messages import Message, refuse, told

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


class Own(Choice):
    """A family of the user's own, before the cluster file has said that it may be imported; its hyperparameters are
    kept as written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def trusted(self, word: str) -> Choice:
        """The family itself, its hyperparameters checked.

        Raises:
            UnknownChoice: it may not be imported, or cannot.
            ValidationError: what is written below it is wrong.
            ValueError: the class is no whole family.
        """
        kind = find("models", word)
        if not issubclass(kind, Model):
            raise ValueError(
                f"{word!r} is no model: it does not derive from ray_pipeline.components.models._base.Model"
            )
        if lacking := sorted(name for name in Model.__class_vars__ if not hasattr(kind, name)):
            raise ValueError(
                f"{word!r} lacks {listed(lacking)}, which every model says of itself; see ray_pipeline/models/_base.py"
            )
        if not FILE.fullmatch(kind.file):
            raise ValueError(
                f"{word!r} keeps its model in a file {kind.file!r}; it must be named `model.` and the format, which may"
                " not be a pickle"
            )
        return kind.model_validate(dict(self.model_extra or {}))  # type: ignore[no-any-return]


def _splitter(written: object) -> object:
    if not isinstance(written, Mapping):
        return written
    word = written.get("by")
    if not isinstance(word, str):
        problem = Message(
            (
                f"write which splitter: `by:` one of {', '.join(menu('splitters'))}"
                if word is None
                else f"expected a word, got {word!r}"
            ),
            "add `by: random`",
        )
        refuse([(("by",) if "by" in written else (), problem, written)])
    try:
        kind = find("splitters", str(word))
    except UnknownChoice as error:
        refuse([(("by",), Message(str(error), _write(str(word), menu("splitters"))), word)])
    try:
        return kind.model_validate(written)
    except ValidationError as error:
        refuse([(one["loc"], told(one, kind), one["input"]) for one in error.errors()])


def _families(written: object) -> object:
    """Every way to write `model:` as a mapping of families to their hyperparameters."""
    if isinstance(written, str):
        asked: dict[Any, Any] = {written: {}}
    elif isinstance(written, Mapping):
        asked = dict(written)
    elif isinstance(written, Sequence):
        wrong = next((one for one in written if not isinstance(one, str)), None)
        if wrong is not None:
            raise ValueError(f"expected a list of words, got {wrong!r} in it; write families with values as a mapping")
        if len(set(written)) < len(written):
            raise ValueError(f"{next(one for one in written if written.count(one) > 1)!r} is listed twice")
        asked = {word: {} for word in written}
    else:
        raise ValueError(f"expected the name of a model, a list of names, or a mapping, got {written!r}")
    if not asked:
        raise ValueError(f"no model is named; known: {', '.join(menu('models'))}")
    families: dict[str, Choice] = {}
    wrongs: list[tuple[tuple[int | str, ...], Message, object]] = []
    for word, values in asked.items():
        try:
            families[word] = _model(word, {} if values is None else values)
        except ValidationError as error:
            wrongs += [((word, *one["loc"]), told(one, find("models", word)), one["input"]) for one in error.errors()]
        except UnknownChoice as error:
            wrongs.append(((word,), Message(str(error), _write(word, menu("models"))), word))
        except ValueError as error:
            wrongs.append(((word,), Message(str(error), "write `name: value` pairs below it"), values))
    if wrongs:
        refuse(wrongs)
    return families


def _model(word: str, values: object) -> Choice:
    if isinstance(values, Choice):
        return values
    if not isinstance(values, Mapping):
        raise ValueError(f"expected a mapping of hyperparameters, got {values!r}")
    if _DOTTED.fullmatch(word):
        return Own.model_validate(values)
    if word not in menu("models"):
        raise UnknownChoice(
            f"there is no model {word!r}; {nearest(word, menu('models'))}Known: {', '.join(menu('models'))}"
        )
    return find("models", word).model_validate(values)  # type: ignore[no-any-return]


def _write(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known).removeprefix("did you mean ").removesuffix("? ")
    return f"write {near}" if near else "write one of these"


def split_schema() -> dict[str, Any]:
    """The JSON schema of `split:`."""
    return {"oneOf": [find("splitters", word).model_json_schema() for word in menu("splitters")]}


def model_schema() -> dict[str, Any]:
    """The JSON schema of `model:`."""
    words = list(menu("models"))
    families = {word: find("models", word).model_json_schema() for word in words}
    mapping = {"type": "object", "properties": families, "minProperties": 1}
    return {
        "anyOf": [
            {"type": "string", "examples": words},
            {"type": "array", "items": {"type": "string", "examples": words}, "minItems": 1, "uniqueItems": True},
            mapping,
        ]
    }


# SerializeAsAny, or a dump would silently drop the choice's own fields and two different specs would share a
# fingerprint.
Split = Annotated[SerializeAsAny[Splitter], BeforeValidator(_splitter), WithJsonSchema({"type": "object"})]
Models = Annotated[dict[str, SerializeAsAny[Choice]], BeforeValidator(_families), WithJsonSchema({})]
