"""One YAML file takes Parquet feature tables to a gated, registered model, on a laptop or a Ray cluster alike."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    # what the user writes, and what comes back
    "Spec": "spec",
    "Where": "spec.where",
    "Release": "runs.release",
    # whole runs, and registered models
    "run": "pipeline",
    "resume": "resuming",
    "rerun": "resuming",
    "load": "serving",
    "predict_rows": "registered_model",
    "evaluate_registered": "registered_model",
    # the stages, in their order
    "open_run": "runs.context",
    "read": "data.read",
    "split": "data.split",
    "profile_table": "profiling.table_profile",
    "encode": "preprocessing.encode",
    "search": "tuning.search",
    "refit": "tuning.refit",
    "predict": "evaluation.predict",
    "evaluate": "evaluation.evaluate",
    "explain": "evaluation.explain",
    "champion": "evaluation.champion",
    "judge": "evaluation.gates",
    "register": "registry.register",
}
__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: `import ray_pipeline` loads neither ray nor mlflow."""
    if name not in _MODULES:
        raise AttributeError(f"module 'ray_pipeline' has no attribute {name!r}")
    return getattr(import_module(f"ray_pipeline.{_MODULES[name]}"), name)
