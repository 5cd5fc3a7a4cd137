"""Waits for a free CPU before anything is read: Ray Data waits for one indefinitely and logs nothing."""

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.spec.where import Where
from ray_pipeline.suggestion import RESUME

WAIT_S = 60
"""Long enough for an autoscaler to announce a node, and short enough that a person does not think of a hang."""


def wait_for_capacity(where: Where) -> None:
    """Returns when a task with one CPU has run on the cluster; at once if this process has started Ray itself.

    Raises
    ------
    ResourceError
        If no CPU became free within `WAIT_S` seconds, because others use all of them.
    """
    import ray

    if where.address == "local":
        return
    probe = ray.remote(num_cpus=1, max_retries=0)(_nothing).remote()
    try:
        ray.get(probe, timeout=WAIT_S)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(probe, force=True)
        total, free = ray.cluster_resources().get("CPU", 0.0), ray.available_resources().get("CPU", 0.0)
        found = f"no CPU of the cluster at {where.address!r} became free within {WAIT_S} s: {free:g} of {total:g} are"
        raise ResourceError(
            Problem(
                key="address",
                stage="read",
                found=found,
                fix=f"end other jobs (`ray status` shows how many CPUs are in use), or wait, then {RESUME}",
            )
        ) from None


def _nothing() -> None:
    return None
