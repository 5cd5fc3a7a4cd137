"""Imports of libraries without scikit-learn, which they need only for their own scikit-learn classes."""

import importlib
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any


def import_without_scikit_learn(library: str, readers: Sequence[str]) -> ModuleType:
    """Import a library, without scikit-learn where this process has imported neither.

    Other code sees no difference: the library's scikit-learn classes are imported when they are first used.

    Parameters
    ----------
    library
        The name that is imported.
    readers
        The library's modules that take classes of scikit-learn when they are imported.
    """
    if library not in sys.modules and "sklearn" not in sys.modules:
        with _NoScikitLearn():
            _import_readers_when_used(importlib.import_module(library), readers)
    return importlib.import_module(library)


class _NoScikitLearn:
    """Within the block this thread, and no other, cannot import scikit-learn."""

    def __enter__(self) -> None:
        self.thread = threading.get_ident()
        sys.meta_path.insert(0, self)

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """What Python asks before it looks for a module; None leaves the search to others."""
        if name == "sklearn" and threading.get_ident() == self.thread:
            raise ModuleNotFoundError("a library is imported without scikit-learn", name=name)


def _import_readers_when_used(library: ModuleType, readers: Sequence[str]) -> None:
    """Forget the modules that were imported without scikit-learn; the first use of a name imports its module again."""
    prefix = f"{library.__name__}."
    module_of = {name: value.__module__ for name, value in vars(library).items() if _module(value) in readers}
    module_of |= {module.removeprefix(prefix): module for module in readers}
    for name, module in module_of.items():
        vars(library).pop(name, None)
        sys.modules.pop(module, None)

    def import_reader(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {library.__name__!r} has no attribute {name!r}")
        module = importlib.import_module(module_of[name])
        return module if module.__name__ == prefix + name else getattr(module, name)

    library.__getattr__ = import_reader  # type: ignore[method-assign]


def _module(value: object) -> str:
    return getattr(value, "__module__", "")
