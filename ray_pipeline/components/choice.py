"""A choice is a frozen pydantic class, at once configuration and behaviour. A spec names it by a word.

There is no list of choices. The words of a folder are the names of its files and of the entry points
`ray_pipeline.<folder>` of installed packages. A dotted name is a class of the user's own. It is imported only from
packages that the cluster file trusts; worker processes learn those from an environment variable.
"""

import importlib
import inspect
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.components.own_code import guard
from ray_pipeline.errors import listed, nearest

TRUST = "RAY_PIPELINE_TRUST"
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


class Choice(BaseModel):
    """Base of every choice: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Guard a class of a user's own."""
        super().__pydantic_init_subclass__(**kwargs)
        guard(cls)

    @classmethod
    def parameters(cls) -> "type[Choice]":
        """The class that checks the parameters which a spec writes. Its fields are their names."""
        return cls

    @classmethod
    def unfit(cls) -> str | None:
        """Why a class that has all members cannot be used all the same, in words that follow its name; else None."""
        return None


class UnknownChoice(ValueError):
    """No class can be found under that name, or it cannot serve.

    Parameters
    ----------
    found
        What is wrong.
    fix
        What to do about it.
    """

    def __init__(self, found: str, fix: str = "correct the name") -> None:
        super().__init__(found)
        self.fix = fix


class Untrusted(UnknownChoice):
    """A dotted name of a package that no cluster file trusts."""


@cache
def files(folder: str) -> tuple[str, ...]:
    """The words that the folder itself has: the names of its files, sorted."""
    paths = importlib.import_module(f"{__package__}.{folder}").__path__
    return tuple(sorted(file.stem for path in paths for file in Path(path).glob("[!_]*.py")))


def menu(folder: str) -> tuple[str, ...]:
    """Every word for one kind of choice, sorted: the files of its folder and what installed packages add."""
    return tuple(sorted({*files(folder), *_installed(folder)}))


def each(folder: str) -> Iterator[Any]:
    """Every class of one kind of choice: those of the folder first, then those of installed packages."""
    for word in files(folder):
        yield find(folder, word)
    for word in sorted({*_installed(folder)} - {*files(folder)}):
        yield find(folder, word)


def find(folder: str, word: str) -> Any:
    """The class of that name.

    Parameters
    ----------
    folder
        The kind of choice: a folder of `components`.
    word
        The name of a file or of an entry point, or the dotted name of a class of a trusted package.

    Raises
    ------
    UnknownChoice
        There is no such class, or it is not whole. The message offers the nearest word and lists the known ones.
    Untrusted
        The word is a dotted name, and its package is not trusted.
    """
    if word in files(folder):
        return _in_file(folder, word)
    if _DOTTED.fullmatch(word):
        return _external(folder, word)
    if word in _installed(folder):
        return _by_entry_point(folder, word)
    raise unknown(folder, word, menu(folder))


def unknown(folder: str, word: str, known: Iterable[str]) -> UnknownChoice:
    """The error for a word that nothing bears."""
    known = tuple(known)
    near = nearest(word, known)
    fix = f"write {near.removeprefix('did you mean ').removesuffix('? ')}" if near else "write one of these"
    return UnknownChoice(f"there is no {noun(folder)} {word!r}; {near}Known: {', '.join(known)}", fix)


def name_of(kind: type[Choice]) -> str:
    """The word that names the class: its file or its entry point; else its dotted name."""
    package, _, word = kind.__module__.rpartition(".")
    if package.startswith(f"{__package__}."):
        return word
    (folder, *_) = (
        base.__module__.split(".")[2] for base in kind.__mro__ if base.__module__.startswith(f"{__package__}.")
    )
    value = f"{kind.__module__}:{kind.__qualname__}"
    named = (name for name, point in _installed(folder).items() if point.value == value)
    return next(named, value.replace(":", "."))


def trust(packages: Iterable[str]) -> None:
    """Allows dotted names of these packages, and of no others, in this process and in those that it starts."""
    os.environ[TRUST] = ",".join(packages)


def read_parameters(folder: str, name: str) -> tuple[Any, dict[str, Any]]:
    """The class that a name means, and its parameters, checked; see `read_choice` for the form of the name."""
    word, parameters = read_choice(name)
    kind = find(folder, word)
    return kind, dict(kind.parameters().model_validate(parameters))


def parameters_of(fit: Any) -> type[Choice]:
    """The parameters of a choice that is fitted: the keyword-only arguments of `fit`, as a class that checks them."""
    hints = inspect.get_annotations(fit, eval_str=True)
    taken: dict[str, Any] = {
        name: (hints[name], Field(... if argument.default is argument.empty else argument.default))
        for name, argument in inspect.signature(fit).parameters.items()
        if argument.kind is argument.KEYWORD_ONLY
    }
    return create_model("Parameters", __base__=Choice, **taken)


def noun(folder: str) -> str:
    """What one choice of the folder is called in messages."""
    return folder.removesuffix("s").replace("_", " ")


@cache
def _installed(folder: str) -> Mapping[str, EntryPoint]:
    """What installed packages add, by word. To read their metadata takes 6 ms, so it waits for a need."""
    return {point.name: point for point in entry_points(group=f"ray_pipeline.{folder}")}


@cache
def _in_file(folder: str, word: str) -> Any:
    module = importlib.import_module(f"{__package__}.{folder}.{word}")
    (found,) = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Choice) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_")
    ]
    return found


@cache
def _by_entry_point(folder: str, word: str) -> Any:
    point = _installed(folder)[word]
    try:
        found = point.load()
    except Exception as error:  # whatever a module of somebody else raises
        package = point.dist.name if point.dist else point.value
        raise UnknownChoice(
            f"the {noun(folder)} {word!r} of the installed package {package} cannot be imported: {error}",
            "repair the package, or remove it",
        ) from error
    return _whole(folder, word, found)


def _external(folder: str, word: str) -> Any:
    """The user's class of that dotted name. Not cached, since trust can be withdrawn."""
    trusted = [package for package in os.environ.get(TRUST, "").split(",") if package]
    if not any(f"{word}.".startswith(f"{package}.") for package in trusted):
        package = word.partition(".")[0]
        raise Untrusted(
            f"{word!r} is not trusted; the cluster file allows it with `trust: [{package}]`",
            "trust its package in the cluster file, if you do",
        )
    module, _, name = word.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # whatever a module of the user's own raises
        package = word.partition(".")[0]
        is_absent = isinstance(error, ModuleNotFoundError) and error.name == package
        raise UnknownChoice(
            f"{word!r} cannot be imported: {type(error).__name__}: {error}",
            _how_to_find(package) if is_absent else "correct the module, or its name",
        ) from error
    return _whole(folder, word, found)


def _how_to_find(package: str) -> str:
    """What lets Python find a package. No folder of a spec is searched: a spec must not bring code of its own."""
    beside = any(Path(name).exists() for name in (package, f"{package}.py"))
    folder = "$PWD" if beside else "the folder that holds it"
    return (
        f"install it (`pip install -e`), or set PYTHONPATH={folder}; on a cluster do that on every node, and before"
        " `ray start`"
    )


def _whole(folder: str, word: str, found: Any) -> Any:
    """The class, if it says all that one of its kind must."""
    base = importlib.import_module(f"{__package__}.{folder}._base")
    (kind,) = [
        one
        for _, one in inspect.getmembers(base, inspect.isclass)
        if Choice in one.__bases__ and one.__module__ == base.__name__
    ]
    where = f"{kind.__module__}.{kind.__name__}"
    if not (inspect.isclass(found) and issubclass(found, Choice)):
        raise UnknownChoice(f"{word!r} is not a class that derives from {where}")
    if not issubclass(found, kind):
        raise UnknownChoice(f"{word!r} is no {noun(folder)}: it does not derive from {where}", "correct the class")
    said = {name for name in found.__class_vars__ if not hasattr(found, name)} | getattr(
        found, "__abstractmethods__", frozenset()
    )
    if said:
        raise UnknownChoice(
            f"{word!r} lacks {listed(sorted(said))}, which every {noun(folder)} says of itself; see {where}",
            "complete the class",
        )
    if why := found.unfit():
        raise UnknownChoice(f"{word!r} {why}", "correct the class")
    return found
