"""One YAML file takes Parquet feature tables to a gated, registered model, on a laptop or a Ray cluster alike."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see; `__getattr__` imports it when it is asked for
    from ray_pipeline.data.read import read as read
    from ray_pipeline.data.split import split as split
    from ray_pipeline.evaluation.champion import champion as champion
    from ray_pipeline.evaluation.champion import require_champion as require_champion
    from ray_pipeline.evaluation.dominance import doubt as doubt
    from ray_pipeline.evaluation.evaluate import evaluate as evaluate
    from ray_pipeline.evaluation.explain import explain as explain
    from ray_pipeline.evaluation.gates import judge as judge
    from ray_pipeline.evaluation.predict import predict as predict
    from ray_pipeline.pipeline import run as run
    from ray_pipeline.preprocessing.encode import encode as encode
    from ray_pipeline.profiling.table_profile import profile_table as profile_table
    from ray_pipeline.registered_model import evaluate_registered as evaluate_registered
    from ray_pipeline.registered_model import predict_rows as predict_rows
    from ray_pipeline.registry.register import register as register
    from ray_pipeline.resuming import rerun as rerun
    from ray_pipeline.resuming import resume as resume
    from ray_pipeline.runs.context import open_run as open_run
    from ray_pipeline.runs.release import Release as Release
    from ray_pipeline.serving import load as load
    from ray_pipeline.spec import Spec as Spec
    from ray_pipeline.spec.where import Where as Where
    from ray_pipeline.tuning.refit import refit as refit
    from ray_pipeline.tuning.search import search as search

    __version__: str

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
    "require_champion": "evaluation.champion",
    "search": "tuning.search",
    "refit": "tuning.refit",
    "predict": "evaluation.predict",
    "evaluate": "evaluation.evaluate",
    "explain": "evaluation.explain",
    "doubt": "evaluation.dominance",
    "champion": "evaluation.champion",
    "judge": "evaluation.gates",
    "register": "registry.register",
}
__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: `import ray_pipeline` loads neither ray nor mlflow."""
    if name == "__version__":
        return import_module("importlib.metadata").version("ray-pipeline")
    if name not in _MODULES:
        raise AttributeError(f"module 'ray_pipeline' has no attribute {name!r}")
    return getattr(import_module(f"ray_pipeline.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, for completion in a notebook."""
    return __all__
