"""Kills worker processes that have been stopped, so that Ray does their work again. Ray itself waits for them forever.

A process is stopped by SIGSTOP or by a debugger; the kernel shows state T. If this process has started Ray, one of its
threads looks for stopped workers. On any other cluster, an actor on each node looks. It reserves no CPU and touches
only workers of this job, because other people's jobs may run there too.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ray_pipeline.runtime import private_ray

STOPPED_S = 120.0
"""After this time a stopped worker is killed."""
LOOK_EVERY_S = 5.0
NEW_NODES_EVERY_S = 30.0


@contextmanager
def watchdog() -> Iterator[None]:
    """Watches the workers of this process's Ray, on every node, while the block runs."""
    ended = threading.Event()
    own_raylets = [
        pid
        for pid, (parent, _) in processes().items()
        if parent == os.getpid() and private_ray.is_raylet(command_of(pid))
    ]
    work = partial(_watch_children, Watchdog(own_raylets)) if own_raylets else _watch_nodes
    thread = threading.Thread(target=work, args=(ended,), name="ray-pipeline-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOOK_EVERY_S)


def _watch_children(watchdog: "Watchdog", ended: threading.Event) -> None:
    while not ended.wait(LOOK_EVERY_S):
        watchdog.look()


def _watch_nodes(ended: threading.Event) -> None:
    """Keeps one watching actor on each node, also on nodes that join later."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    job, actors = ray.get_runtime_context().get_job_id(), dict[str, Any]()
    while True:
        # If the cluster does not answer, those who wait for its results report it.
        with suppress(RayError, ConnectionError, RuntimeError):
            for node in (node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in actors):
                here = NodeAffinitySchedulingStrategy(node, soft=False)
                actors[node] = ray.remote(_OnNode).options(num_cpus=0, scheduling_strategy=here).remote(job)
        if ended.wait(NEW_NODES_EVERY_S):
            return


class _OnNode:
    """The actor that watches one node; the node's workers are siblings of its own process."""

    def __init__(self, job: str) -> None:
        watchdog = Watchdog([os.getppid()], job)
        threading.Thread(target=_watch_children, args=(watchdog, threading.Event()), daemon=True).start()


class Watchdog:
    """Finds and kills stopped workers among the children of some processes.

    Parameters
    ----------
    parents
        Process ids of the raylets whose workers are watched.
    job
        Hexadecimal id of the job whose workers are watched; all workers by default.

    Attributes
    ----------
    looks
        How many looks in a row have found each process stopped. Looks and not seconds: while a machine sleeps, no
        process is to blame.
    """

    def __init__(self, parents: list[int], job: str | None = None) -> None:
        self.parents, self.job = parents, job
        self.looks: dict[int, int] = {}

    def look(self) -> list[int]:
        """Looks once, and returns the process ids of the workers that it has killed."""
        stopped = [
            pid
            for pid, (parent, state) in processes().items()
            if parent in self.parents and state == "T" and self._is_watched(pid)
        ]
        self.looks = {pid: self.looks.get(pid, 0) + 1 for pid in stopped}
        killed = [pid for pid, looks in self.looks.items() if looks * LOOK_EVERY_S >= STOPPED_S]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        return killed

    def _is_watched(self, pid: int) -> bool:
        if not private_ray.is_worker(command_of(pid)):
            return False
        return self.job is None or private_ray.is_worker_of(self.job, _read(pid, "environ"))


def processes() -> dict[int, tuple[int, str]]:
    """Parent and state of every process that this user may look at, by its id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):  # it has just ended
            continue
        found[int(path.parent.name)] = (int(parent), state)
    return found


def command_of(pid: int) -> bytes:
    """The first word of the process's command line."""
    return _read(pid, "cmdline").split(b"\0")[0]


def _read(pid: int, name: str) -> bytes:
    """A file of `/proc/PID`; empty if the process has ended or belongs to somebody else."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
