"""A task with the threads of the final fit: backtests and folds train in it, one after the other, before the refit."""

from collections.abc import Callable
from typing import Any, TypeVar

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.ray_errors import find_own, last_line
from ray_pipeline.runtime.tasks import task
from ray_pipeline.suggestion import RESUME

T = TypeVar("T")


def run_task(work: Callable[..., T], *arguments: Any, layout: Layout, what: str) -> T:
    """Run a function in a worker of Ray, and return its result.

    Parameters
    ----------
    work
        The function.
    arguments
        Its arguments.
    layout
        Says how many threads and GPUs the final fit has.
    what
        What is done, for the message of a failure.

    Raises
    ------
    ResourceError
        The worker died, or the function failed with an error that is not of this package.
    ray.exceptions.OutOfMemoryError
        Ray's monitor of memory has killed the worker again and again.
    """
    import ray
    from ray.exceptions import OutOfMemoryError, RayError

    asked = task(work, num_cpus=layout.fit_threads, num_gpus=layout.gpus).remote(*arguments)
    try:
        return ray.get(asked)  # type: ignore[no-any-return]
    except OutOfMemoryError:  # the session says how much memory was used
        raise
    except RayError as error:
        if own := find_own(error):
            raise own from None
        fix = f"free the cluster's CPUs and memory, then {RESUME}"
        raise ResourceError(Problem(stage="fit", found=f"{what} failed: {last_line(error)}", fix=fix)) from error
