"""Private interfaces of Ray by which the workers of a local Ray are forks, one function each.

`tests/runtime/test_private_ray.py` names the one that a release of Ray removes.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ray_pipeline.runtime.overrides import attributes, read_attribute

_START = "ray._private.services:start_ray_process"
_WORKER_COMMAND, _PRESTARTED = "--python_worker_command=", "--num_prestart_python_workers="


@contextmanager
def workers_started_by(command: Sequence[str]) -> Iterator[None]:
    """In the block, the Ray that `ray.init` starts runs this command for each worker, followed by Ray's own command.

    It starts none in advance: `ray.init` would wait for them, and let no other thread of this process go on.
    """
    start, prefix = read_attribute(_START), f"{_WORKER_COMMAND}{subprocess.list2cmdline(command)} "

    def start_process(words: list[str], *arguments: Any, **options: Any) -> Any:
        """Start one of Ray's processes; the raylet has the options for workers."""
        words = [word.replace(_WORKER_COMMAND, prefix, 1) for word in words]
        words = [f"{_PRESTARTED}0" if word.startswith(_PRESTARTED) else word for word in words]
        return start(words, *arguments, **options)

    with attributes.use({_START: start_process}):
        yield


def variables_before_forks() -> dict[str, str]:
    """The environment variables that Ray reads once, when it is imported, of a process that forks into its workers.

    The raylet is not known yet: this process, which starts it, stands for it. A worker ends when that has ended. As
    those that Ray starts with a session, the forks belong to no job at first.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token")  # as `ray.init` decides
    return {"RAY_AUTH_MODE": mode, "RAY_RAYLET_PID": str(os.getpid()), "RAY_JOB_ID": "ffffffff"}


@contextmanager
def imports_before_forks() -> Iterator[None]:
    """In the block, the classes of actors get their ids from the operating system.

    Ray's own generator of ids would be seeded by the first one, and all forks of this process would draw the same ids
    from it, for example of their placement groups.
    """
    from ray import ActorClassID

    drawn = SimpleNamespace(from_random=lambda: ActorClassID(os.urandom(ActorClassID.size())))
    with attributes.use({"ray.actor:ActorClassID": drawn}):
        import ray._private.workers.default_worker  # noqa: F401

        yield


def forks_draw_other_ids() -> bool:
    """Whether two forks of this process draw different ids from Ray's generator."""
    first, second = _drawn_in_fork(), _drawn_in_fork()
    return first != second


def _drawn_in_fork() -> bytes:
    from ray import ObjectRef

    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(there, ObjectRef.from_random().binary())
        os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as file:
        drawn = file.read()
    os.waitpid(pid, 0)
    return drawn
