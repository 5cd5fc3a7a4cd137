"""How a spec names its choices, and what stands in for a class whose package is not trusted yet.

A spec is read before the cluster file is known. A dotted name of an untrusted package then waits: it is kept as written
until `Spec.trusting` reads the spec again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, SerializeAsAny, ValidationError, ValidationInfo, WithJsonSchema

from ray_pipeline.components.choice import Choice, UnknownChoice, Untrusted, files, find, menu, unknown
from ray_pipeline.components.choice_text import read_choice, write_choice
from ray_pipeline.components.metrics import find_metric, metric_of
from ray_pipeline.components.slices._base import Names, Slice, words_in
from ray_pipeline.components.splitters._base import Splitter
from ray_pipeline.spec.messages import Message, Refusal, keys, message_of, refuse

MARK = "x-choice"


@dataclass
class Reading:
    """One reading of a spec, and what it came across."""

    may_wait: bool = False
    """Whether names of untrusted packages may wait for `Spec.trusting`."""
    waiting: list[str] = field(default_factory=list)
    """The names that wait."""
    dotted: list[str] = field(default_factory=list)
    """Every dotted name."""
    packages: set[str] = field(default_factory=set)
    """The packages of all classes that were found."""

    @classmethod
    def of(cls, info: ValidationInfo) -> "Reading":
        """The reading that a validator takes part in. Outside of a spec nothing may wait."""
        return info.context if isinstance(info.context, Reading) else cls()

    def find(self, folder: str, word: str) -> Any:
        """The class of that name, or None where it waits. Raises `UnknownChoice`."""
        if "." in word:
            self.dotted.append(word)
        try:
            found = find_metric(word)[0] if folder == "metrics" else find(folder, word)
        except Untrusted:
            if not self.may_wait:
                raise
            self.waiting.append(word)
            return None
        self.note(found)
        return found

    def note(self, kind: type[Choice]) -> None:
        """Takes down where a class comes from."""
        self.packages.add(kind.__module__.partition(".")[0])


class ExternalModel(Choice):
    """A family of the user's own that waits for trust. Its hyperparameters are kept as written."""

    model_config = ConfigDict(frozen=True, extra="allow")


class ExternalSplitter(Splitter):
    """A splitter of the user's own that waits for trust. Its fields are kept as written."""

    model_config = ConfigDict(frozen=True, extra="allow")


class ExternalSlice(Slice):
    """A slice of the user's own that waits for trust, as written."""

    form: Any

    @property
    def columns(self) -> tuple[str, ...]:
        """None are known yet."""
        return ()

    @property
    def written(self) -> Any:
        """The form itself."""
        return self.form

    def name_of(self, table: Any, edges: Mapping[str, Sequence[float]]) -> dict[str, Names]:
        """Nothing is named before it is known who is trusted."""
        raise NotImplementedError


def named(folder: str, *others: str) -> Any:
    """The type of a field that names a choice: a text in its canonical form.

    Parameters
    ----------
    folder
        The kind of choice.
    others
        Words that the field takes besides, such as `auto`.
    """
    return Annotated[str, BeforeValidator(partial(_name, folder, others)), choice_schema(folder, *others)]


def choice_schema(folder: str, *others: str) -> WithJsonSchema:
    """A mark in the JSON schema, where `json_schema` puts the forms of that kind of choice."""
    return WithJsonSchema({"type": "string", MARK: [folder, *others]})


def _name(folder: str, others: tuple[str, ...], written: object, info: ValidationInfo) -> str:
    word, parameters = read_choice(written)
    if word in others and not parameters:
        return word
    kind = None
    try:
        if others and "." not in word and word not in menu(folder):
            raise unknown(folder, word, (*others, *menu(folder)))
        kind = Reading.of(info).find(folder, word)
        if kind is None:
            return write_choice(word, parameters)
        if folder == "metrics":
            return metric_of(written).name
        checked = kind.parameters().model_validate(parameters)
    except (UnknownChoice, ValidationError) as error:
        refuse(refusals(error, kind, (word,) if isinstance(written, Mapping) else (), written))
    return write_choice(word, checked.model_dump(mode="json", exclude_defaults=True))


def refusals(
    error: UnknownChoice | ValidationError, kind: type[Choice] | None, place: tuple[str, ...], written: object
) -> list[Refusal]:
    """What to say of a choice that cannot be found, or whose parameters are wrong.

    Parameters
    ----------
    error
        What was raised.
    kind
        The class, where it was found.
    place
        The keys within the field that lead to the choice.
    written
        What the user wrote.
    """
    if isinstance(error, UnknownChoice):
        return [Refusal(place=place, message=Message(found=str(error), fix=error.fix), written=written)]
    known = keys(kind.parameters()) if kind else ()
    return [
        Refusal(place=(*place, *one["loc"]), message=message_of(one, known), written=one["input"])
        for one in error.errors()
    ]


def _splitter(written: object, info: ValidationInfo) -> object:
    if not isinstance(written, Mapping):
        return written
    word, kind = written.get("by"), None
    try:
        word, fields = read_choice(word)
        kind = Reading.of(info).find("splitters", word)
        return (kind or ExternalSplitter).model_validate({**fields, **written, "by": word})
    except (UnknownChoice, ValidationError) as error:
        refuse(refusals(error, kind, ("by",) if kind is None else (), word))
    except ValueError as error:
        found = f"write which splitter: `by:` one of {', '.join(menu('splitters'))}" if word is None else str(error)
        message = Message(found=found, fix="add `by: random`")
        refuse([Refusal(place=("by",) if "by" in written else (), message=message, written=written)])


def _slice(written: object, info: ValidationInfo) -> object:
    reading = Reading.of(info)
    try:
        waiting = [word for word in words_in(written) if reading.find("slices", word) is None]
        found = ExternalSlice(form=written) if waiting else Slice.parse(written)
        reading.note(type(found))
        return found
    except UnknownChoice as error:
        refuse(refusals(error, None, (), written))


def _families(written: object, info: ValidationInfo) -> object:
    """Every way to write `model:` as a mapping of families to their hyperparameters."""
    if isinstance(written, str):
        asked: dict[Any, Any] = {written: {}}
    elif isinstance(written, Mapping):
        asked = dict(written)
    elif isinstance(written, Sequence):
        if wrong := [one for one in written if not isinstance(one, str)]:
            found = f"expected a list of words, got {wrong[0]!r} in it; write families with values as a mapping"
            raise ValueError(found)
        if len(set(written)) < len(written):
            raise ValueError(f"{next(one for one in written if written.count(one) > 1)!r} is listed twice")
        asked = {word: {} for word in written}
    else:
        raise ValueError(f"expected the name of a model, a list of names, or a mapping, got {written!r}")
    if not asked:
        raise ValueError(f"no model is named; known: {', '.join(menu('models'))}")
    families: dict[str, Choice] = {}
    wrongs: list[Refusal] = []
    for word, values in asked.items():
        kind = None
        try:
            kind = Reading.of(info).find("models", word)
            families[word] = _model(kind, {} if values is None else values)
            if kind is not None and kind.encoder not in files("encoders"):
                Reading.of(info).find("encoders", kind.encoder)
        except (UnknownChoice, ValidationError) as error:
            wrongs += refusals(error, kind, (word,), word)
        except ValueError as error:
            message = Message(found=str(error), fix="write `name: value` pairs below it")
            wrongs.append(Refusal(place=(word,), message=message, written=values))
    if wrongs:
        refuse(wrongs)
    return families


def _model(kind: type[Choice] | None, values: object) -> Choice:
    if isinstance(values, Choice):
        return values
    if not isinstance(values, Mapping):
        raise ValueError(f"expected a mapping of hyperparameters, got {values!r}")
    if kind is None:
        return ExternalModel.model_validate(values)
    return kind.model_validate(values)


# SerializeAsAny, or a dump would silently drop the choice's own fields and two different specs would share a
# fingerprint.
SplitField = Annotated[SerializeAsAny[Splitter], BeforeValidator(_splitter), WithJsonSchema({"type": "object"})]
ModelsField = Annotated[dict[str, SerializeAsAny[Choice]], BeforeValidator(_families), WithJsonSchema({})]
SliceField = Annotated[Slice, BeforeValidator(_slice)]
MetricName = named("metrics")
CheckName = named("checks")
EncodingName = named("column_encodings")
CalibratorName = named("calibrators", "auto")
