"""Serving: a registered model in this process, without Ray.

In: a model of the registry, and rows. Out: scores; an estimator as scikit-learn knows them.
May import: registry and the layers below it.
"""

from ray_pipeline.registry import Registry
from ray_pipeline.serving.loaded_model import LoadedModel

__all__ = ["LoadedModel", "load"]


def load(model: str, registry: str | None = None) -> LoadedModel:
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
    return LoadedModel.load((Registry(registry) if registry else Registry.default()).fetch(model))
