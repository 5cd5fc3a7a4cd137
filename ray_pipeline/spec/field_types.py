"""The base of every section of the spec, and the small types that its fields share."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ray_pipeline.errors import nearest
from ray_pipeline.redaction import SECRET_NAME, redacted
from ray_pipeline.spec.environment import VARIABLE, expand
from ray_pipeline.spec.expression import Expression

SCHEMES = ("s3", "gs", "abfs", "abfss")
NAME = r"[A-Za-z0-9_.-]{1,100}"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Section(BaseModel):
    """A mapping of the spec: frozen, strict, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds, which are included."""

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
    """A finite number between two bounds; `open` excludes the bounds themselves."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounds: dict[str, Any] = {"gt" if self.open else "ge": self.low, "lt" if self.open else "le": self.high}
        finite = {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
        return core_schema.no_info_before_validator_function(self.read, core_schema.float_schema(**finite))

    def read(self, written: object) -> float:
        """The number as a float; raises `ValueError` outside the bounds."""
        is_number = isinstance(written, int | float) and not isinstance(written, bool) and math.isfinite(written)
        if is_number and (self.low < written < self.high if self.open else self.low <= written <= self.high):  # type: ignore[operator]
            return float(written)  # type: ignore[arg-type]
        raise ValueError(f"expected a number{self._range()}, got {shown(written)}")

    def _range(self) -> str:
        """The bounds in words; nothing where there are none."""
        if not math.isfinite(self.low):
            return ""
        if not math.isfinite(self.high):
            return f" {'above' if self.open else 'of at least'} {self.low:g}"
        return f" between {self.low:g} and {self.high:g}" if self.open else f" from {self.low:g} to {self.high:g}"


def shown(given: object) -> str:
    """A value as a message shows it."""
    if given is None:
        return "nothing (null)"
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, Mapping):
        return f"a mapping with {', '.join(map(str, list(given)[:5])) or 'no keys'}"
    if isinstance(given, list | tuple):
        return f"a list of {len(given)}"
    text = redacted(repr(given))  # before it is cut: half a URI is no URI
    return text if len(text) <= 80 else f"{text[:77]}…"


def model_name(written: str) -> str:
    """The name, if a registry, a file system and a URL all accept it."""
    if not re.fullmatch(NAME, written) or written.startswith("-") or not written.strip("."):
        raise ValueError(
            f"a name has 1 to 100 characters out of A-Z a-z 0-9 _ . - and does not start with '-', got {written!r}"
        )
    return written


def column(written: str) -> str:
    """The name of a column."""
    if not written.strip() or _CONTROL.search(written):
        raise ValueError(f"{written!r} is not a name of a column")
    return written


def as_list(written: object) -> object:
    """The list as a tuple; one name alone is a list of one."""
    if isinstance(written, str | Mapping):
        return (written,)
    return tuple(written) if isinstance(written, Sequence) else written


def columns(written: object) -> object:
    """Names of columns as a tuple; one name alone is a list of one."""
    if isinstance(written, Mapping):
        return written
    listed = as_list(written)
    return distinct(listed) if isinstance(listed, tuple) else listed


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, if none of them is there twice."""
    twice = [one for place, one in enumerate(values) if one in values[:place]]
    if twice:
        raise ValueError(f"{twice[0]!r} is listed twice")
    return values


def expression(written: object) -> object:
    """The text of an expression, if it can be parsed."""
    if isinstance(written, str):
        Expression.parse(written)
    return written


def condition(written: object) -> object:
    """The text of an expression that can be true or false."""
    if isinstance(written, str):
        parsed = Expression.parse(written)
        if not parsed.is_boolean and not parsed.is_column:
            raise ValueError(f"{written!r} is a value, not a condition; compare it with something")
    return written


def path(written: str) -> str:
    """A local path, a glob, or a URI of an object store, as written: variables stay.

    Raises
    ------
    ValueError
        It is none of these, or it carries a password.
    """
    expanded = expand(written)
    if "${" in VARIABLE.sub("", written):
        raise ValueError(f"{written!r}: the only variables are ${{env:NAME}}")
    if not expanded.strip() or _CONTROL.search(expanded):
        raise ValueError(f"{written!r} is not a path")
    if "://" in expanded:
        scheme = expanded.split("://")[0].lower()
        if scheme not in SCHEMES:
            raise ValueError(
                f"there is no scheme {scheme + '://'!r} for data; {nearest(scheme, SCHEMES)}Known: a local path,"
                f" {', '.join(s + '://' for s in SCHEMES)}"
            )
        refuse_credentials(expanded, container_at_account=scheme in ("abfs", "abfss"))
        if "#" in expanded:
            raise ValueError(f"{written!r}: a URI of data has no '#'")
    return written


def refuse_credentials(expanded: str, container_at_account: bool = False) -> None:
    """Raises `ValueError` if a URI carries a user, a password or a secret.

    Parameters
    ----------
    expanded
        The URI, without variables.
    container_at_account
        Whether `container@account` is allowed, as Azure writes it.
    """
    try:
        parts = urlsplit(expanded)
        user, password = parts.username, parts.password
    except ValueError as error:
        raise ValueError(f"this is not a URI: {error}") from None
    if password is not None or (user is not None and not container_at_account):
        raise ValueError("the URI carries a user or password; remove it, credentials come from the environment")
    if SECRET_NAME.search(parts.query):
        raise ValueError(
            "the URI's query looks like it carries a secret; remove it, credentials come from the environment"
        )


def looks_secret(key: str) -> bool:
    """Whether a key is named as secrets are."""
    return bool(SECRET_NAME.search(key))


Name = Annotated[str, AfterValidator(model_name)]
Column = Annotated[str, AfterValidator(column)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(columns)]
ExpressionText = Annotated[str, BeforeValidator(expression)]
ConditionText = Annotated[str, BeforeValidator(condition)]
Path = Annotated[str, AfterValidator(path)]
Seed = Annotated[int, Whole(0, 2**32 - 1)]
