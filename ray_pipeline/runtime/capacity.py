"""Waits for a free CPU before anything is read: Ray Data waits for one indefinitely and logs nothing."""

from ray_pipeline.duration import write_duration
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.spec.where import Where
from ray_pipeline.suggestion import RESUME

NO_NODE = "look with `ray status` why no node starts, or wait longer for it (`start_within` in the cluster file)"


def wait_for_capacity(where: Where) -> None:
    """Returns when a task with one CPU has run on the cluster; at once if this process has started Ray itself.

    Raises
    ------
    ResourceError
        If no CPU became free within `where.start_within`: others use all of them, or no node came.
    """
    import ray

    if where.address == "local":
        return
    probe = ray.remote(num_cpus=1, max_retries=0)(_nothing).remote()
    try:
        ray.get(probe, timeout=where.start_within.total_seconds())
    except ray.exceptions.GetTimeoutError:
        ray.cancel(probe, force=True)
        total, free = ray.cluster_resources().get("CPU", 0.0), ray.available_resources().get("CPU", 0.0)
        within = write_duration(where.start_within)
        found = f"no CPU of the cluster at {where.address!r} became free within {within}: {free:g} of {total:g} are"
        remedy = "end other jobs (`ray status` shows how many CPUs are in use), or wait" if total else NO_NODE
        raise ResourceError(
            Problem(
                key="address",
                stage="read",
                found=found,
                fix=f"{remedy}, then {RESUME}",
            )
        ) from None


def _nothing() -> None:
    return None
