"""Tries the GPU of a worker before a search relies on it: a node may have a card, and a library built without CUDA."""

from collections.abc import Sequence

from ray_pipeline.components.models._base import Model
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.ray_errors import last_line

TIMEOUT_S = 60


def gpu_fault(families: Sequence[type[Model]], layout: Layout) -> str | None:
    """Say why these families cannot train on a worker's GPU; None if all can.

    Parameters
    ----------
    families
        The families of the search; those that train on CPUs everywhere are not tried.
    layout
        Says how much of a GPU a worker has.
    """
    import ray
    from ray.exceptions import RayError

    on_gpu = [family for family in families if family.uses_gpu]
    tried = ray.remote(num_cpus=layout.threads, num_gpus=layout.gpus, max_retries=0)(_try).remote(on_gpu)
    try:
        return ray.get(tried, timeout=TIMEOUT_S)  # type: ignore[no-any-return]
    except RayError as error:
        ray.cancel(tried, force=True)
        return f"a worker with {layout.gpus:g} GPU did not answer: {last_line(error)}"


def _try(families: Sequence[type[Model]]) -> str | None:
    """Runs in a worker that has a GPU."""
    for family in families:
        try:
            family.try_gpu()
        except Exception as error:
            return f"{family.library} cannot use it: {last_line(error)}"
    return None
