"""Work for Ray's workers in pieces: a worker that takes longer for one than `stall_after` is killed.

Ray then gives the piece to another worker, a few times.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pyarrow as pa

from ray_pipeline.errors import Problem
from ray_pipeline.heartbeat import heartbeats
from ray_pipeline.runtime.private_ray import session_folder
from ray_pipeline.runtime.ray_errors import own_errors
from ray_pipeline.suggestion import RESUME

if TYPE_CHECKING:
    import ray.data
    from ray.remote_function import RemoteFunction

P = ParamSpec("P")
T = TypeVar("T")
RETRIES = 5
"""How often a piece is done again whose worker has died."""


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

    return ray.remote(max_retries=RETRIES, **options)(watched(work))


def given_up() -> Problem:
    """What is wrong where the worker of a piece has died again and again."""
    return Problem(
        found="a piece of work was given up, because every worker that began it has died",
        fix="where workers were killed, the notes above say why; a library that crashes or hangs says so in Ray's logs,"
        f" which `--debug` keeps; then {RESUME}",
    )


def arrow_blocks(dataset: "ray.data.Dataset") -> Iterator[pa.Table]:
    """The blocks of a dataset, streamed in its order.

    Raises
    ------
    PipelineError
        What a worker raised, without Ray's wrapper.
    """
    with own_errors():
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)
