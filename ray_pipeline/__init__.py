"""One YAML file takes Parquet feature tables to a gated, registered model, on a laptop or a Ray cluster alike."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Spec": "ray_pipeline.spec",
    "Where": "ray_pipeline.spec.where",
    "Release": "ray_pipeline.pipeline",
    "run": "ray_pipeline.pipeline",
    "resume": "ray_pipeline.pipeline",
    "load": "ray_pipeline.registry",
}
__all__ = [*_WHERE, "__version__"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: `import ray_pipeline` loads neither ray nor mlflow."""
    if name not in _WHERE:
        raise AttributeError(f"module 'ray_pipeline' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
