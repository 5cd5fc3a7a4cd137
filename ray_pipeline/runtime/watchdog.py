"""Kills worker processes that have been stopped or hang, so that Ray does their work again. Ray itself waits forever.

A process is stopped by SIGSTOP; the kernel shows state T. It hangs if it trains and its heartbeat
stops. If this process has started Ray, one of its threads looks for such workers. On any other cluster, an actor on
each node looks. It reserves no CPU and touches only workers of this job, because other people's jobs may run there too.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ray_pipeline.duration import write_duration
from ray_pipeline.heartbeat import beats, forget
from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.progress import note

STOPPED_S = 120.0
"""After this time a stopped worker is killed."""
LOOK_EVERY_S = 5.0
NEW_NODES_EVERY_S = 30.0


@contextmanager
def watchdog(stall_s: float) -> Iterator[None]:
    """Watch the workers of this process's Ray, on every node, while the block runs. What is killed becomes a note.

    Parameters
    ----------
    stall_s
        Seconds without a heartbeat after which a worker is killed.
    """
    ended = threading.Event()
    children = [pid for pid, (parent, _) in processes().items() if parent == os.getpid()]
    work: Callable[[threading.Event], None] = partial(_watch_nodes, stall_s)
    if any(private_ray.is_raylet(command_of(pid)) for pid in children):  # the others may fork workers
        work = partial(_watch_children, Watchdog(children, private_ray.session_folder(), stall_s), note)
    # The context knows the run's progress.
    arguments = (work, ended)
    thread = threading.Thread(target=copy_context().run, args=arguments, name="ray-pipeline-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOOK_EVERY_S)


def _watch_children(watchdog: "Watchdog", say: Callable[[str], object], ended: threading.Event) -> None:
    while not ended.wait(LOOK_EVERY_S):
        for message in watchdog.look().values():
            say(message)


def _watch_nodes(stall_s: float, ended: threading.Event) -> None:
    """Keep one watching actor on each node, also on nodes that join later, and note what they have killed."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    job, actors = ray.get_runtime_context().get_job_id(), dict[str, Any]()
    while True:
        # If the cluster does not answer, those who wait for its results report it.
        with suppress(RayError, ConnectionError, RuntimeError):
            for node in (node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in actors):
                here = NodeAffinitySchedulingStrategy(node, soft=False)
                actors[node] = ray.remote(_OnNode).options(num_cpus=0, scheduling_strategy=here).remote(job, stall_s)
        for actor in actors.values():
            with suppress(RayError, ConnectionError, RuntimeError):
                for message in ray.get(actor.messages.remote(), timeout=LOOK_EVERY_S):
                    note(message)
        if ended.wait(NEW_NODES_EVERY_S):
            return


class _OnNode:
    """The actor that watches one node; the node's workers are siblings of its own process."""

    def __init__(self, job: str, stall_s: float) -> None:
        watchdog, self.said = Watchdog([os.getppid()], private_ray.session_folder(), stall_s, job), list[str]()
        arguments = (watchdog, self.said.append, threading.Event())
        threading.Thread(target=_watch_children, args=arguments, daemon=True).start()

    def messages(self) -> list[str]:
        """Say what was killed since the last call."""
        said, self.said[:] = list(self.said), []
        return said


class Watchdog:
    """Finds and kills stopped and hanging workers among the children of some processes.

    Parameters
    ----------
    parents
        Process ids of the raylets whose workers are watched, and of what forks their workers.
    shared
        The folder with the heartbeats of the workers.
    stall_s
        Seconds without a heartbeat after which a worker is killed.
    job
        Hexadecimal id of the job whose workers are watched; all workers by default.

    Attributes
    ----------
    stopped, silent
        How many looks in a row have found each process stopped, or without a new heartbeat. Looks and not seconds:
        while a machine sleeps, no process is to blame.
    """

    def __init__(self, parents: list[int], shared: Path, stall_s: float, job: str | None = None) -> None:
        self.parents, self.shared, self.stall_s, self.job = parents, shared, stall_s, job
        self.stopped: dict[int, int] = {}
        self.silent: dict[int, int] = {}
        self.beats: Mapping[int, int] = {}

    def look(self) -> dict[int, str]:
        """Look once; return a message for each worker that was killed, by its process id."""
        running, beats_now = processes(), beats(self.shared)
        states = {pid: state for pid, (parent, state) in running.items() if parent in self.parents}
        stopped = [pid for pid, state in states.items() if state == "T" and self._is_watched(pid)]
        silent = [
            pid
            for pid, beat in beats_now.items()
            if self.beats.get(pid) == beat and states.get(pid, "T") != "T" and self._is_watched(pid)
        ]
        self.beats = beats_now
        for pid in beats_now.keys() - running.keys():
            forget(self.shared, pid)
        self.stopped = {pid: self.stopped.get(pid, 0) + 1 for pid in stopped}
        self.silent = {pid: self.silent.get(pid, 0) + 1 for pid in silent}
        reasons = dict.fromkeys(_over(self.stopped, STOPPED_S), f"it was stopped for {STOPPED_S:.0f} s")
        stall = write_duration(timedelta(seconds=self.stall_s))
        reasons |= dict.fromkeys(_over(self.silent, self.stall_s), f"no progress for {stall} (`stall_after`)")
        for pid in reasons:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return {pid: f"killed worker process {pid}: {why}; its work is done again" for pid, why in reasons.items()}

    def _is_watched(self, pid: int) -> bool:
        if not private_ray.is_worker(command_of(pid)):
            return False
        return self.job is None or private_ray.is_worker_of(self.job, _read(pid, "environ"))


def _over(looks: Mapping[int, int], seconds: float) -> list[int]:
    return [pid for pid, count in looks.items() if count * LOOK_EVERY_S >= seconds]


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
