"""Serving: a registered model in this process, without Ray.

In: a model of the registry, and rows. Out: scores; an estimator as scikit-learn knows them.
May import: registry and the layers below it.
"""

import weakref
from collections.abc import Sequence
from pathlib import Path

from ray_pipeline.registry import Registry
from ray_pipeline.registry.versions import remove_copy
from ray_pipeline.serving.loaded_model import LoadedModel

__all__ = ["LoadedModel", "load"]


def load(model: str, registry: str | None = None, trust_keys: Sequence[Path | str] = ()) -> LoadedModel:
    """Return a registered model, ready to score.

    `load("models:/flight_delay@champion").predict(frame)` returns the scores of a data frame.

    Parameters
    ----------
    model
        `name@alias`, `name/version` or `models:/...`.
    registry
        The registry's MLflow address; by default RAY_PIPELINE_REGISTRY, then MLFLOW_TRACKING_URI, then
        `sqlite:///./runs/mlflow.db`.
    trust_keys
        PEM files of public keys. Where given, the model must be signed by the holder of one of them.

    Raises
    ------
    RegistryError
        There is no such registry or model, or a file of the bundle is not as it was registered.
    """
    keys = tuple(map(Path, trust_keys))
    known = Registry(registry, trust_keys=keys) if registry else Registry.default(trust_keys=keys)
    folder = known.fetch(str(model))
    loaded = LoadedModel.load(folder)
    weakref.finalize(loaded, remove_copy, folder)  # a service may load a model again and again
    return loaded
