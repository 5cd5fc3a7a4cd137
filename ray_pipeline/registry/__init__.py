"""Registry: the only door to MLflow. A version is written whole, proved in a fresh process, and then gets its alias.

In: a bundle, its verdict and lineage. Out: a registered version, its bundle on this machine, its history.
May import: tuning, evaluation and the layers below them.
"""

from ray_pipeline.bundle import Bundle
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.registry.registry import Registry

__all__ = ["NewVersion", "Registry", "load"]


def load(model: str, registry: str | None = None) -> Bundle:
    """Return a registered model, ready to score.

    `load("models:/flight_delay@champion").predict(frame)` returns the scores of a data frame.

    Parameters
    ----------
    model
        `name@alias`, `name/version` or `models:/...`.
    registry
        The registry's MLflow address; by default RAY_PIPELINE_REGISTRY, then MLFLOW_TRACKING_URI, then
        `sqlite:///./runs/mlflow.db`.

    Raises
    ------
    RegistryError
        There is no such registry or model, or a file of the bundle is not as it was registered.
    """
    return Bundle.load((Registry(registry) if registry else Registry.default()).fetch(model))
