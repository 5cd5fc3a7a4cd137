"""Waits until a worker has run on a free CPU: Ray and Ray Data wait for one indefinitely and log nothing."""

from ray_pipeline.duration import write_duration
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.spec.where import Where
from ray_pipeline.suggestion import RESUME

NO_NODE = "look with `ray status` why no node starts, or wait longer for it (`start_within` in the cluster file)"
NO_WORKER = (
    "look whether the limit of processes (`ulimit -u`) or the memory is used up; `--debug` keeps Ray's logs, which say"
    " why its workers end"
)


def wait_for_capacity(where: Where, then: str = RESUME) -> None:
    """Return when a task with one CPU has run.

    Parameters
    ----------
    where
        The cluster file.
    then
        What the user is to do once the cause is removed.

    Raises
    ------
    ResourceError
        If no task ran within `where.start_within`: others use all CPUs, no node came, or each worker dies at its start.
    """
    import ray

    probe = ray.remote(num_cpus=1, max_retries=-1)(_nothing).remote()
    try:
        ray.get(probe, timeout=where.start_within.total_seconds())
    except ray.exceptions.GetTimeoutError:
        ray.cancel(probe, force=True)
        raise ResourceError(_no_task(where, then)) from None


def _no_task(where: Where, then: str) -> Problem:
    """Why no task has run, as far as can be seen from outside."""
    import ray

    total, free = ray.cluster_resources().get("CPU", 0.0), ray.available_resources().get("CPU", 0.0)
    within = write_duration(where.start_within)
    if where.address == "local":
        found = f"no worker of this machine's Ray did anything within {within}: {free:g} of {total:g} CPUs are free"
        fix = NO_WORKER if total - free <= 1 else "end what else uses the Ray of this process"
    else:
        found = f"no CPU of the cluster at {where.address!r} became free within {within}: {free:g} of {total:g} are"
        fix = "end other jobs (`ray status` shows how many CPUs are in use), or wait" if total else NO_NODE
    return Problem(key="address", stage="read", found=found, fix=f"{fix}, then {then}")


def _nothing() -> None:
    return None
