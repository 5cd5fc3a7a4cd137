"""XGBoost without scikit-learn, which it imports only for its own scikit-learn classes.

`import xgboost` takes 0.2 s of processor time without scikit-learn and 0.9 s with it, in each process of a run.
"""

import importlib
import sys
import threading
from types import ModuleType
from typing import Any

READERS = ("xgboost.compat", "xgboost.training", "xgboost.sklearn", "xgboost.plotting")
"""Modules of XGBoost 3.2 that take classes of scikit-learn when they are imported."""


def import_xgboost() -> ModuleType:
    """Import XGBoost, without scikit-learn where this process has imported neither.

    Other code sees no difference: XGBoost's scikit-learn classes are imported when they are first used.
    """
    if "xgboost" not in sys.modules and "sklearn" not in sys.modules:
        with _NoScikitLearn():
            _import_readers_when_used(importlib.import_module("xgboost"))
    return importlib.import_module("xgboost")


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
            raise ModuleNotFoundError("XGBoost is imported without scikit-learn", name=name)


def _import_readers_when_used(xgboost: ModuleType) -> None:
    """Forget the modules that were imported without scikit-learn; the first use of a name imports its module again."""
    module_of = {name: value.__module__ for name, value in vars(xgboost).items() if _module(value) in READERS}
    module_of |= {module.removeprefix("xgboost."): module for module in READERS}
    for name, module in module_of.items():
        vars(xgboost).pop(name, None)
        sys.modules.pop(module, None)

    def import_reader(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module 'xgboost' has no attribute {name!r}")
        module = importlib.import_module(module_of[name])
        return module if module.__name__ == f"xgboost.{name}" else getattr(module, name)

    xgboost.__getattr__ = import_reader  # type: ignore[method-assign]


def _module(value: object) -> str:
    return getattr(value, "__module__", "")
