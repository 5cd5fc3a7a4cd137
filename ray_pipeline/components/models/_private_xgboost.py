"""XGBoost's private structure, as far as this package uses it: which of its modules need scikit-learn."""

import importlib
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

CHECKED_WITH = "3.2.0"
"""The release of XGBoost with which its structure was last read in its source."""

WITH_SCIKIT_LEARN = ("compat", "plotting", "sklearn", "training")
"""The modules that import scikit-learn, or from a module that does."""


class _Absent:
    """Hides scikit-learn from the imports of one thread."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == "sklearn" and threading.get_ident() == self.thread:
            raise ModuleNotFoundError("XGBoost's core is imported without scikit-learn", name=name)
        return None


def import_xgboost() -> ModuleType:
    """XGBoost, imported without scikit-learn: 0.6 s instead of 2.5 s.

    XGBoost needs scikit-learn for its wrappers (`XGBClassifier` and others), for plots and for `cv`. Those are imported
    when somebody asks for the first of them, so that a user's code in the same process finds all of XGBoost.

    Returns
    -------
    module
        `xgboost`; as it is, if it or scikit-learn has been imported before.
    """
    if {"xgboost", "sklearn"} & sys.modules.keys():
        return importlib.import_module("xgboost")
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        xgboost = importlib.import_module("xgboost")
    finally:
        sys.meta_path.remove(absent)
    on_demand = {
        name: module
        for name in xgboost.__all__
        if (module := getattr(vars(xgboost)[name], "__module__", "")).removeprefix("xgboost.") in WITH_SCIKIT_LEARN
    }
    for name in WITH_SCIKIT_LEARN:
        sys.modules.pop(f"xgboost.{name}", None)
    for name in (*WITH_SCIKIT_LEARN, *on_demand):
        vars(xgboost).pop(name, None)

    def find(name: str) -> Any:
        if name not in on_demand:
            raise AttributeError(f"module 'xgboost' has no attribute {name!r}")
        return getattr(importlib.import_module(on_demand[name]), name)

    xgboost.__getattr__ = find  # type: ignore[method-assign]
    return xgboost
