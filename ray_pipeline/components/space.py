"""What a hyperparameter may be: one value, or a space to search, written `{int: [3, 10]}`, `{float: [0.5, 1]}`, `{log:
[0.01, 0.3]}` or `{any: [a, b]}`.

A model annotates its fields with `Integer`, `Number`, `Word` or `Boolean`; where the library has bounds of its own,
with `Annotated[Number, Within(0, 1)]`.
"""

import math
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from ray_pipeline.errors import nearest

Scalar = bool | int | float | str | None
MAX_INTEGER = 2**53


class Space(BaseModel):
    """Base of the four spaces; frozen, and serialised as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The values that decide whether the whole space is allowed: both bounds, or every value of a list."""
        raise NotImplementedError

    def contains(self, value: object) -> bool:
        """Whether the value lies in the space, bounds included."""
        raise NotImplementedError

    @model_serializer
    def written(self) -> dict[str, list[Scalar]]:
        """The form that a user writes."""
        return {type(self).__name__.lower(): list(self.ends)}


class _Range(Space):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> t.Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        return self

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """Both bounds."""
        return self.low, self.high

    def contains(self, value: object) -> bool:
        """Whether the number lies between the bounds."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class Int(_Range):
    """Integers from `low` to `high`."""

    low: int
    high: int

    def contains(self, value: object) -> bool:
        """Whether the value is a whole number between the bounds."""
        return super().contains(value) and float(t.cast(float, value)).is_integer()


class Float(_Range):
    """Numbers from `low` to `high`, all equally likely."""


class Log(_Range):
    """Numbers from `low` > 0 to `high`, all orders of magnitude equally likely; integers where the hyperparameter is
    one."""

    @model_validator(mode="after")
    def _positive(self) -> t.Self:
        if self.low <= 0:
            raise ValueError(f"the bounds of a log space must be above 0, got low {self.low:g}")
        return self


class Any(Space):
    """One of the values."""

    values: tuple[Scalar, ...]

    @model_validator(mode="after")
    def _some(self) -> t.Self:
        if not self.values:
            raise ValueError("the list is empty; name at least one value")
        if len({repr(value) for value in self.values}) < len(self.values):
            raise ValueError("a value is listed twice")
        return self

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """Every value."""
        return self.values

    def contains(self, value: object) -> bool:
        """Whether the value is listed."""
        return value in self.values


SPACES: dict[str, type[Space]] = {"int": Int, "float": Float, "log": Log, "any": Any}


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
        raise ValueError(f"expected a whole number, got {value!r}")
    return value


def _whole(end: object) -> object:
    """A bound as a `Log` writes it: 64.0 for 64."""
    return int(end) if isinstance(end, float) and end.is_integer() else end


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a word, got {value!r}")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _reader(value_of: Callable[[object], Scalar], allowed: tuple[type[Space], ...]) -> Callable[[object], object]:
    """What reads a written hyperparameter: a plain value by `value_of`, a mapping as one of the allowed spaces."""
    words = [word for word, kind in SPACES.items() if kind in allowed]

    def read(written: object) -> object:
        if isinstance(written, Space):
            if not isinstance(written, allowed):
                raise ValueError(
                    f"a space of {type(written).__name__.lower()} does not fit here; known spaces: {', '.join(words)}"
                )
            return written
        if not isinstance(written, Mapping):
            return value_of(written)
        if len(written) != 1:
            raise ValueError(
                f"a space is one of {{{': [a, b]}, {'.join(words)}: [a, b]}}; got the keys"
                f" {', '.join(map(str, written)) or 'none'}"
            )
        ((word, ends),) = written.items()
        if word not in words:
            raise ValueError(f"there is no space {word!r} here; {nearest(str(word), words)}Known: {', '.join(words)}")
        if not isinstance(ends, list | tuple):
            raise ValueError(f"{word}: expected a list, got {ends!r}")
        if word == "any":
            return Any(values=tuple(value_of(value) for value in ends))
        if len(ends) != 2:
            raise ValueError(f"{word}: expected two bounds [low, high], got {len(ends)} values")
        whole = word == "int" or value_of is _integer
        low, high = (_integer(_whole(end)) if whole else _number(end) for end in ends)
        return SPACES[word].model_validate({"low": low, "high": high})

    return read


def _schema(plain: str, allowed: tuple[type[Space], ...]) -> WithJsonSchema:
    pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    forms = {
        word: {"type": "array", "minItems": 1} if word == "any" else pair
        for word, kind in SPACES.items()
        if kind in allowed
    }
    spaces = [
        {"type": "object", "properties": {word: form}, "required": [word], "additionalProperties": False}
        for word, form in forms.items()
    ]
    return WithJsonSchema({"anyOf": [{"type": plain}, *spaces]})


def _write(value: object) -> object:
    return value.written() if isinstance(value, Space) else value


Integer = t.Annotated[
    int | Int | Log | Any,
    PlainValidator(_reader(_integer, (Int, Log, Any))),
    PlainSerializer(_write),
    _schema("integer", (Int, Log, Any)),
]
Number = t.Annotated[
    float | Int | Float | Log | Any,
    PlainValidator(_reader(_number, (Int, Float, Log, Any))),
    PlainSerializer(_write),
    _schema("number", (Int, Float, Log, Any)),
]
Word = t.Annotated[
    str | Any, PlainValidator(_reader(_word, (Any,))), PlainSerializer(_write), _schema("string", (Any,))
]
Boolean = t.Annotated[
    bool | Any, PlainValidator(_reader(_boolean, (Any,))), PlainSerializer(_write), _schema("boolean", (Any,))
]


@dataclass(frozen=True)
class Named:
    """The words that a hyperparameter may be."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: t.Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: t.Any) -> t.Any:
        for word in value.ends if isinstance(value, Space) else (value,):
            if word not in self.words:
                raise ValueError(
                    f"{word!r} is not known; {nearest(str(word), self.words)}Known: {', '.join(self.words)}"
                )
        return value


@dataclass(frozen=True)
class Within:
    """Bounds of a hyperparameter that its library sets; a space must lie within them as a whole. `above`: `low` itself
    is not allowed."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __get_pydantic_core_schema__(self, source: t.Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: t.Any) -> t.Any:
        ends: tuple[t.Any, ...] = value.ends if isinstance(value, Space) else (value,)
        for end in ends:
            if not self.low <= end <= self.high or (self.above and end == self.low):
                raise ValueError(f"expected a number {self}, got {end:g}")
        return value

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"above {self.low:g}" if self.above else f"of at least {self.low:g}"
        if math.isinf(self.low):
            return f"of at most {self.high:g}"
        return f"above {self.low:g} and at most {self.high:g}" if self.above else f"from {self.low:g} to {self.high:g}"
