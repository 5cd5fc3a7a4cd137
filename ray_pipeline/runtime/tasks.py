"""Work for Ray's workers in pieces: a worker that takes longer for one than `stall_after` is killed.

Ray then gives the piece to another worker, a few times.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pyarrow as pa

from ray_pipeline.heartbeat import heartbeats
from ray_pipeline.runtime.private_ray import session_folder
from ray_pipeline.runtime.ray_errors import own_errors

if TYPE_CHECKING:
    import ray.data
    from ray.remote_function import RemoteFunction

P = ParamSpec("P")
T = TypeVar("T")
RETRIES = {"max_retries": 5}
"""How often a piece is done again whose worker has died. Ray Data would never end with a piece that always hangs."""


def watched(work: Callable[P, T]) -> Callable[P, T]:
    """The same work, for a worker of Ray that is killed if one call takes longer than `stall_after`, unless it calls
    `heartbeat.beat` meanwhile."""

    @wraps(work)
    def watched_work(*args: P.args, **kwargs: P.kwargs) -> T:
        with heartbeats(session_folder()):
            return work(*args, **kwargs)

    return watched_work


def task(work: Callable[..., Any], **options: Any) -> "RemoteFunction":
    """The work as a task of Ray whose worker is watched.

    Parameters
    ----------
    work
        What one call does.
    options
        Ray's options, such as `num_cpus`.
    """
    import ray

    return ray.remote(**{**RETRIES, **options})(watched(work))


def map_blocks(dataset: "ray.data.Dataset", work: Callable[[pa.Table], pa.Table]) -> "ray.data.Dataset":
    """The dataset of the results of `work` on each block of a scan; done when it is used, by watched workers."""
    return dataset.map_batches(watched(work), batch_format="pyarrow", batch_size=None, zero_copy_batch=True, **RETRIES)


def arrow_blocks(dataset: "ray.data.Dataset", work: Callable[[pa.Table], pa.Table]) -> Iterator[pa.Table]:
    """The result of `work` on each block of a scan, streamed in the scan's order.

    Raises
    ------
    PipelineError
        What `work` raised on a worker, without Ray's wrapper.
    """
    with own_errors():
        yield from map_blocks(dataset, work).iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)
