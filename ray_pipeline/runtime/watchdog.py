"""A worker process that stands still is killed, so that Ray does again what it was doing: Ray itself waits for one for
ever.

Still is who has been stopped (state T: SIGSTOP, a debugger) at every look of `STILL_S`. Where this process started Ray
a thread of it looks; on any other
cluster an actor on each node, which reserves nothing and touches only workers that were started for this job, since
others may work there too.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

STILL_S, LOOK_S, NODES_S = 120.0, 5.0, 30.0


@contextmanager
def watchdog() -> Iterator[None]:
    """While it lasts, workers of the Ray that this process is connected to are watched, on every node."""
    over, raylets = (
        threading.Event(),
        [pid for pid, (parent, _) in _processes().items() if parent == os.getpid() and _name(pid).endswith(b"/raylet")],
    )
    work = partial(_watch_children, Watchdog(raylets)) if raylets else _watch_nodes
    thread = threading.Thread(target=work, args=(over,), name="ray-pipeline-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LOOK_S)


def _watch_children(watch: "Watchdog", over: threading.Event) -> None:
    while not over.wait(LOOK_S):
        watch.look()


def _watch_nodes(over: threading.Event) -> None:
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    job, actors = ray.get_runtime_context().get_job_id(), dict[str, Any]()
    while True:
        with suppress(
            RayError, ConnectionError, RuntimeError
        ):  # a cluster that does not answer is told of by those who wait for it
            for node in (node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in actors):
                actors[node] = (
                    ray.remote(_OnNode)
                    .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
                    .remote(job)
                )
        if over.wait(NODES_S):
            return


class _OnNode:
    """The watch of one node: its workers are the siblings of this process."""

    def __init__(self, job: str) -> None:
        threading.Thread(
            target=_watch_children, args=(Watchdog([os.getppid()], job), threading.Event()), daemon=True
        ).start()


class Watchdog:
    """Looks at the children of `parents`; of one `job` only, by its hexadecimal id, where one is given."""

    def __init__(self, parents: list[int], job: str | None = None) -> None:
        self.parents, self.job = parents, job
        self.looks: dict[int, int] = {}
        """How many looks in a row found the process stopped. Looks and not seconds: a machine that slept stops
        nobody."""

    def look(self) -> list[int]:
        """The workers that it killed."""
        stopped = [
            pid
            for pid, (parent, state) in _processes().items()
            if parent in self.parents and state == "T" and self._ours(pid)
        ]
        self.looks = {pid: self.looks.get(pid, 0) + 1 for pid in stopped}
        still = [pid for pid, looks in self.looks.items() if looks * LOOK_S >= STILL_S]
        for pid in still:
            os.kill(pid, signal.SIGKILL)
        return still

    def _ours(self, pid: int) -> bool:
        if not _name(pid).startswith(b"ray::"):
            return False
        if self.job is None:
            return True
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"RAY_JOB_ID={self.job}".encode() in environment


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and state of every process that may be looked at."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):  # it has just ended
            continue
        found[int(path.parent.name)] = (int(parent), state)
    return found


def _name(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return b""
