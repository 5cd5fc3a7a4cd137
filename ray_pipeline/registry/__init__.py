"""Registry: the only door to MLflow. A version is written whole, proved in a fresh process, and then gets its alias.

In: a bundle, its verdict and lineage.
Out: a registered version, its bundle on this machine, its history.
May import: evaluation and what lies below it.
"""

from ray_pipeline.bundle import Bundle
from ray_pipeline.registry.registry import Registry

__all__ = ["Registry", "load"]


def load(model: str, registry: str | None = None) -> Bundle:
    """The registered model, ready to score: `load("models:/flight_delay@champion").predict(frame)`.

    Args:
        model: `name@alias`, `name/version` or `models:/...`.
        registry: its MLflow address; default RAY_PIPELINE_REGISTRY, MLFLOW_TRACKING_URI, else
            `sqlite:///./runs/mlflow.db`.
    """
    return Bundle.load((Registry(registry) if registry else Registry.default()).fetch(model))
