"""XGBoost without scikit-learn, which it imports only for its own scikit-learn classes.

`import xgboost` takes 0.2 s of processor time without scikit-learn and 0.9 s with it, in each process of a run.
"""

from types import ModuleType

from ray_pipeline.components.models._without_scikit_learn import import_without_scikit_learn

READERS = ("xgboost.compat", "xgboost.training", "xgboost.sklearn", "xgboost.plotting")
"""Modules of XGBoost 3.2 that take classes of scikit-learn when they are imported."""


def import_xgboost() -> ModuleType:
    """Import XGBoost, without scikit-learn where this process has imported neither."""
    return import_without_scikit_learn("xgboost", READERS)
