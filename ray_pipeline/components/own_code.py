"""Classes of a user's own: a method that raises, or that returns another form than is asked for, is named.

The methods that such a class overrides are guarded when the class is made, in every process. Classes of this package
are left as they are.
"""

import inspect
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from ray_pipeline.errors import Problem, SpecError

T = TypeVar("T", bound=Callable[..., Any])
Fault = Callable[..., str | None]
"""Says what is wrong with the result of a method, from the result and the method's arguments; None if it is right."""
PACKAGE = __name__.partition(".")[0]
LIBRARIES = (PACKAGE, "ray")
"""Packages whose errors have a meaning of their own to whoever calls."""
FIX = "correct it; docs/extending.md says what it is given and what it must return"
NAME = "__returns__"


def returns(fault: Fault) -> Callable[[T], T]:
    """Decorate a method of a base class: what overrides it must return what `fault` finds right."""

    def decorate(method: T) -> T:
        setattr(method, NAME, fault)
        return method

    return decorate


def wrong_shape(array: Any, *shape: int | None) -> str | None:
    """Return what is wrong with an array that should have the shape; None stands for any length.

    Examples
    --------
    >>> import numpy as np
    >>> wrong_shape(np.zeros((3, 2)), 4, None), wrong_shape(np.zeros((4, 2)), 4, None)
    ('shape (3, 2) where (4, …) is asked for', None)
    >>> wrong_shape("text", 4)
    'a str where an array of shape (4,) is asked for'
    """
    wanted = f"({', '.join('…' if one is None else str(one) for one in shape)}{',' * (len(shape) == 1)})"
    if not hasattr(array, "shape"):
        return f"a {type(array).__name__} where an array of shape {wanted} is asked for"
    found = tuple(array.shape)
    if len(found) == len(shape) and all(one in (None, has) for one, has in zip(shape, found, strict=True)):
        return None
    return f"shape {found} where {wanted} is asked for"


def guard(kind: type) -> None:
    """Guard the methods that a class from outside this package overrides.

    Raises
    ------
    SpecError
        Later, where one of them raises or returns what it must not; the class, the method and the line are named.
    """
    if kind.__module__.partition(".")[0] == PACKAGE:
        return
    for name, member in list(vars(kind).items()):
        asked = [vars(base)[name] for base in kind.__mro__[1:] if _is_ours(base) and name in vars(base)]
        if not asked or name.startswith("__"):
            continue
        where = f"{kind.__module__}.{kind.__qualname__}.{name}"
        fault = next((found for one in asked if (found := getattr(_function(one), NAME, None))), None)
        if isinstance(member, classmethod | staticmethod):
            setattr(kind, name, type(member)(_guarded(member.__func__, where, fault)))
        elif isinstance(member, property) and member.fget:
            setattr(kind, name, property(_guarded(member.fget, where, fault), doc=member.__doc__))
        elif inspect.isfunction(member):
            setattr(kind, name, _guarded(member, where, fault))


def _is_ours(base: type) -> bool:
    return base.__module__.partition(".")[0] == PACKAGE


def _function(member: Any) -> Any:
    """The function of a method of any kind."""
    return getattr(member, "__func__", getattr(member, "fget", member))


def _guarded(function: Callable[..., Any], where: str, fault: Fault | None) -> Callable[..., Any]:
    """The function, whose errors name it; what it returns is checked, and guarded if it is a function itself."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            raise _named(error, where, function) from error
        if inspect.isgenerator(result):
            return _guarded_items(result, where, function)
        if found := fault(result, *args, **kwargs) if fault else None:
            raise SpecError(Problem(found=f"{where} returned {found}", fix=FIX))
        return _guarded(result, where, None) if inspect.isfunction(result) else result

    return call


def _guarded_items(items: Iterator[Any], where: str, function: Callable[..., Any]) -> Iterator[Any]:
    try:
        yield from items
    except Exception as error:
        raise _named(error, where, function) from error


def _named(error: Exception, where: str, function: Callable[..., Any]) -> Exception:
    """The error as a problem of the class; the error itself where it has a meaning to the caller."""
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in LIBRARIES:
        return error
    file, lines = function.__code__.co_filename, [line.strip() for line in str(error).splitlines() if line.strip()]
    at = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    place = f" ({Path(file).name}, line {at[-1]})" if at else ""
    return SpecError(Problem(found=f"{where}: {': '.join([type(error).__name__, *lines[:1]])}{place}", fix=FIX))
