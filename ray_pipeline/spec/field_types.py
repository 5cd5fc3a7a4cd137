"""The base of every section of the spec and the small types its fields share; each says in plain words what it
takes."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ray_pipeline.errors import nearest
from ray_pipeline.spec.expression import Expression

SCHEMES = ("s3", "gs", "abfs", "abfss")
NAME = r"[A-Za-z0-9_.-]{1,100}"
_ENVIRONMENT = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|credential)")


class Section(BaseModel):
    """A mapping of the spec: frozen, strict, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds, included."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            self.check, core_schema.int_schema(ge=self.low, le=self.high)
        )

    def check(self, written: object) -> object:
        """The number itself; raises `ValueError` outside the bounds."""
        if isinstance(written, bool) or not isinstance(written, int) or not self.low <= written <= self.high:
            raise ValueError(f"expected a whole number from {self.low} to {self.high}, got {shown(written)}")
        return written


@dataclass(frozen=True)
class Real:
    """A finite number between two bounds; `open` leaves the bounds themselves out."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounds: dict[str, Any] = {"gt" if self.open else "ge": self.low, "lt" if self.open else "le": self.high}
        finite = {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
        return core_schema.no_info_before_validator_function(self.read, core_schema.float_schema(**finite))

    def read(self, written: object) -> float:
        """The number as a float; raises `ValueError` outside the bounds."""
        number = isinstance(written, int | float) and not isinstance(written, bool) and math.isfinite(written)
        fits = number and (self.low < written < self.high if self.open else self.low <= written <= self.high)  # type: ignore[operator]
        if not fits:
            low, high = math.isfinite(self.low), math.isfinite(self.high)
            between = (
                f" {'between' if self.open else 'from'} {self.low:g} {'and' if self.open else 'to'} {self.high:g}"
                if low and high
                else ""
            )
            beyond = f" {'above' if self.open else 'of at least'} {self.low:g}" if low and not high else ""
            raise ValueError(f"expected a number{between or beyond}, got {shown(written)}")
        return float(written)  # type: ignore[arg-type]


def shown(given: object) -> str:
    """A value as it may stand in a message."""
    if given is None:
        return "nothing (null)"
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, Mapping):
        return f"a mapping with {', '.join(map(str, list(given)[:5])) or 'no keys'}"
    if isinstance(given, list | tuple):
        return f"a list of {len(given)}"
    return repr(given) if len(repr(given)) <= 80 else f"{repr(given)[:77]}…"


def name(written: str) -> str:
    """The name, if a registry, a file system and a URL all take it."""
    if not re.fullmatch(NAME, written) or written.startswith("-") or not written.strip("."):
        raise ValueError(
            f"a name has 1 to 100 characters out of A-Z a-z 0-9 _ . - and does not start with '-', got {written!r}"
        )
    return written


def column(written: str) -> str:
    """The column's name."""
    if not written.strip() or _CONTROL.search(written):
        raise ValueError(f"{written!r} is no name of a column")
    return written


def columns(written: object) -> object:
    """Names as a tuple; one name alone is a list of one."""
    if isinstance(written, str):
        return (written,)
    if isinstance(written, Sequence):
        seen = [one for place, one in enumerate(written) if one in written[:place]]
        if seen:
            raise ValueError(f"{seen[0]!r} is listed twice")
        return tuple(written)
    return written


def names(written: object) -> object:
    """Names of choices, of which one alone is a list of one."""
    return (written,) if isinstance(written, str | Mapping) else written


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, of which none may be there twice."""
    seen = [name for place, name in enumerate(names) if name in names[:place]]
    if seen:
        raise ValueError(f"{seen[0]!r} is listed twice")
    return names


def expression(written: object) -> object:
    """The text of an expression, if it means one."""
    if isinstance(written, str):
        Expression.parse(written)
    return written


def truth(written: object) -> object:
    """The text of an expression that can be true or false."""
    if isinstance(written, str):
        parsed = Expression.parse(written)
        if not parsed.is_truth and not parsed.is_column:
            raise ValueError(f"{written!r} is a value, not a condition; compare it with something")
    return written


def expand(written: str) -> str:
    """The text with each `${env:NAME}` replaced from the environment; raises `ValueError` where a variable is not
    set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], "")
        if not found:
            raise ValueError(
                f"the environment variable {match[1]} is {'empty' if match[1] in os.environ else 'not set'}"
            )
        return found

    return _ENVIRONMENT.sub(value, written)


def stray_environment(written: str) -> str | None:
    """What is wrong with a `${…}` outside a path or URI, if there is one."""
    return f"{written!r}: ${{env:NAME}} is allowed in paths and URIs only" if "${" in written else None


def path(written: str) -> str:
    """A local path, glob, or URI of an object store, as written (variables stay); raises `ValueError`."""
    expanded = expand(written)
    if "${" in _ENVIRONMENT.sub("", written):
        raise ValueError(f"{written!r}: the only variables are ${{env:NAME}}")
    if not expanded.strip() or _CONTROL.search(expanded):
        raise ValueError(f"{written!r} is no path")
    if "://" in expanded:
        uri = expanded.split("://")[0].lower()
        if uri not in SCHEMES:
            raise ValueError(
                f"there is no scheme {uri + '://'!r} for data; {nearest(uri, SCHEMES)}Known: a local path,"
                f" {', '.join(s + '://' for s in SCHEMES)}"
            )
        without_userinfo(written, expanded, bucket_of=uri in ("abfs", "abfss"))
        if "#" in expanded:
            raise ValueError(f"{written!r}: a URI of data has no '#'")
    return written


def without_userinfo(written: str, expanded: str, bucket_of: bool = False) -> str:
    """The URI, if it carries no user and password; Azure writes `container@account` there, which is neither."""
    try:
        parts = urlsplit(expanded)
        user, password = parts.username, parts.password
    except ValueError as error:
        raise ValueError(f"this is no URI: {error}") from None
    if password is not None or (user is not None and not bucket_of):
        raise ValueError("the URI carries a user or password; remove it, credentials come from the environment")
    if _SECRET.search(parts.query):
        raise ValueError(
            "the URI's query looks like it carries a secret; remove it, credentials come from the environment"
        )
    return written


def looks_secret(key: str) -> bool:
    """Whether a key is named as secrets are."""
    return bool(_SECRET.search(key))


Name = Annotated[str, AfterValidator(name)]
Column = Annotated[str, AfterValidator(column)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(columns)]
Value = Annotated[str, BeforeValidator(expression)]
Truth = Annotated[str, BeforeValidator(truth)]
Path = Annotated[str, AfterValidator(path)]
Seed = Annotated[int, Whole(0, 2**32 - 1)]
Auto = Literal["auto"]
