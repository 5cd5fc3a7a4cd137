"""LightGBM without scikit-learn, which it imports only for its own scikit-learn classes.

`import lightgbm` takes 0.5 s of processor time without scikit-learn and 1.6 s with it, in each process of a run.
"""

from types import ModuleType

from ray_pipeline.components.models._without_scikit_learn import import_without_scikit_learn

READERS = tuple(f"lightgbm.{module}" for module in ("compat", "engine", "sklearn", "plotting", "dask"))
"""Modules of LightGBM 4.7 that take classes of scikit-learn when they are imported."""


def import_lightgbm() -> ModuleType:
    """Import LightGBM, without scikit-learn where this process has imported neither."""
    return import_without_scikit_learn("lightgbm", READERS)
