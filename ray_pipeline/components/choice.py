"""A choice is a frozen pydantic class, at once the config and the behaviour; its file's name is the word the user
writes.

There is no list of choices: `menu` looks at the folder, `find` imports one file and takes the one class in it. A dotted
name is a class of the user's own;
it is imported only from packages that the cluster file trusts, which worker processes learn by an environment variable.
"""

import importlib
import inspect
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from ray_pipeline.errors import nearest

TRUST = "RAY_PIPELINE_TRUST"


class Choice(BaseModel):
    """Base of every choice: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class UnknownChoice(ValueError):
    """No file of that name stands in the folder."""


C = TypeVar("C", bound=Choice)


@cache
def menu(folder: str) -> tuple[str, ...]:
    """The words that a user may write for one kind of choice: the files of its folder, sorted."""
    files = (Path(__file__).parent / folder).glob("[!_]*.py")
    return tuple(sorted(file.stem for file in files))


@cache
def find(folder: str, word: str) -> Any:
    """The one class defined in `ray_pipeline/<folder>/<word>.py`.

    Raises:
        UnknownChoice: there is no such file; the message offers the nearest word and lists the known ones.
    """
    if "." in word:
        return _own(word)
    if word not in menu(folder):
        noun = folder.removesuffix("s").removesuffix("ie") + ("y" if folder.endswith("ies") else "")
        raise UnknownChoice(
            f"there is no {noun} {word!r}; {nearest(word, menu(folder))}Known: {', '.join(menu(folder))}"
        )
    module = importlib.import_module(f"ray_pipeline.components.{folder}.{word}")
    classes = [
        c
        for _, c in inspect.getmembers(module, inspect.isclass)
        if issubclass(c, Choice) and c.__module__ == module.__name__
    ]
    (found,) = [c for c in classes if not c.__name__.startswith("_")]
    return found


def trust(packages: Iterable[str]) -> None:
    """From now on, own choices of these packages may be imported, here and in processes that start from here; of no
    others."""
    os.environ[TRUST] = ",".join(packages)


def _own(word: str) -> Any:
    """The user's class of that dotted name; raises `UnknownChoice` where it is not trusted, cannot be imported, or is
    none."""
    package, _, name = word.rpartition(".")
    trusted = [one for one in os.environ.get(TRUST, "").split(",") if one]
    if not any(f"{word}.".startswith(f"{one}.") for one in trusted):
        raise UnknownChoice(
            f"{word!r} is not trusted; the cluster file allows it with `trust: [{word.partition('.')[0]}]`"
        )
    try:
        found = getattr(importlib.import_module(package), name, None)
    except ImportError as error:
        raise UnknownChoice(f"{word!r} cannot be imported: {error}") from None
    if not (inspect.isclass(found) and issubclass(found, Choice)):
        raise UnknownChoice(f"{package} has no class {name!r} that is a choice")
    return found
