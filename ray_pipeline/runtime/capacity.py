"""Is there a free CPU? Asked before anything is read: Ray Data waits for one without a word, and without an end."""

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.spec.where import Where

WAIT_S = 60
"""Long enough for an autoscaler to say that it brings a node, too short to be taken for a hang."""


def wait_for_capacity(where: Where) -> None:
    """Returns once a task of one CPU has run on the cluster; at once on a Ray of our own.

    Raises:
        ResourceError: none could within `WAIT_S`: others hold all CPUs.
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
                fix="end what holds them (`ray status` tells how many are in use), or wait, then `ray-pipeline resume`",
            )
        ) from None


def _nothing() -> None:
    return None
