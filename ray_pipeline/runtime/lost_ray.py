"""Notices within seconds that a server of Ray has died, and ends the run with a message.

Ray itself waits for a minute. Then it ends the process without a word, or blames the resources of the cluster.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.cluster_address import silence
from ray_pipeline.runtime.watchdog import command_of, processes

LOOK_EVERY_S = 2.0
SILENT_S = 30.0
"""A head that is silent for so long is lost. Ray ends the process after 60 s; a head that is restarted takes less."""
STUCK_S = 25.0
"""A session that does not end in this time hangs in a call of Ray's that no signal ends. Ending usually takes 10 s."""
last_words: list[Callable[[ResourceError], object]] = []
"""What answers in place of a main thread that hangs, and ends the process; the last one counts."""


class RayGuard:
    """Watches Ray's servers from now on: the GCS and the raylet, if this process has started them; else the cluster's
    head.

    When one has died, the main thread is interrupted, if it is the one that made the guard. Where the raylet has died
    and somebody answers in place of the main thread, that happens at once: Ray ends the process without a word as soon
    as it next uses the object store, which is part of the raylet.
    """

    def __init__(self) -> None:
        started = _started_servers()
        self._look: Callable[[], Problem | None] = partial(_dead, started) if started else partial(_silent, _head())
        self._patience_s = 0.0 if started else SILENT_S
        self._servers = started
        self._interrupts = threading.current_thread() is threading.main_thread()
        self._ended, self._closed = threading.Event(), threading.Event()
        self._alone, self._found = threading.Lock(), list[Problem]()
        threading.Thread(target=self._watch, name="ray-pipeline-ray-guard", daemon=True).start()

    def stop(self) -> None:
        """Stop watching, because Ray is about to be ended."""
        with self._alone:
            self._ended.set()

    def close(self) -> None:
        """Note that the session has ended, so that nobody has to answer in place of the main thread."""
        self.stop()
        self._closed.set()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """In the block, whatever is raised after a server has died becomes an error that says so.

        Raises
        ------
        ResourceError
            Which server has died.
        """
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            if problem := self._last_look():
                raise ResourceError(problem) from error
            raise

    def _watch(self) -> None:
        silent_since = None
        while not self._ended.is_set():
            one_ended = _wait_for_end(self._servers, LOOK_EVERY_S)
            problem = self._look() if _is_used() and not self._ended.is_set() else None
            if one_ended and problem is None:  # Ray is being ended, or this system cannot wait for processes
                self._ended.wait(LOOK_EVERY_S)
            silent_since = None if problem is None else silent_since or time.monotonic()
            if problem and silent_since and time.monotonic() - silent_since >= self._patience_s:
                with self._alone:
                    if self._ended.is_set():  # Ray is being ended, and nobody is interrupted who has left the block
                        return
                    self._found.append(problem)
                    if last_words and private_ray.RAYLET in problem.found:
                        last_words[-1](ResourceError(problem))
                    if self._interrupts:
                        # Not `_thread.interrupt_main`: it wakes no thread that waits in the kernel.
                        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                self._answer_if_stuck(problem)
                return

    def _last_look(self) -> Problem | None:
        with self._alone:
            watching = not self._ended.is_set()
            self._ended.set()
        if watching and _is_used() and (problem := self._look()):
            threading.Thread(target=self._answer_if_stuck, args=(problem,), daemon=True).start()
            return problem
        return next(iter(self._found), None)

    def _answer_if_stuck(self, problem: Problem) -> None:
        if not self._closed.wait(STUCK_S) and last_words:
            last_words[-1](ResourceError(problem))


def _wait_for_end(processes: Iterable[int], seconds: float) -> bool:
    """Wait until one of these processes has ended, or for that time; whether one has ended, as far as is known."""
    with ExitStack() as opened:
        poll = select.poll()
        try:
            for pid in processes:
                descriptor = os.pidfd_open(pid)
                opened.callback(os.close, descriptor)
                poll.register(descriptor, select.POLLIN)
        except (AttributeError, OSError):  # one has ended long ago, or the system has no such descriptors
            return True
        return bool(poll.poll(1000 * seconds))


def _is_used() -> bool:
    """Whether this process still uses Ray; after `ray.shutdown` its servers end, and nothing is lost."""
    import ray

    return bool(ray.is_initialized())


def _started_servers() -> dict[int, str]:
    """The servers of Ray among the children of this process, by process id.

    Several raylets are the nodes of a `ray.cluster_utils.Cluster`: a run survives the loss of one.
    """
    children = [pid for pid, (parent, _) in processes().items() if parent == os.getpid()]
    servers = {pid: name for pid in children if (name := private_ray.server_name(command_of(pid)))}
    several = list(servers.values()).count(private_ray.RAYLET) > 1
    return {pid: name for pid, name in servers.items() if not (several and name == private_ray.RAYLET)}


def _dead(servers: dict[int, str]) -> Problem | None:
    running = {pid for pid, (parent, state) in processes().items() if parent == os.getpid() and state not in "ZX"}
    dead = [f"{name} (process {pid})" for pid, name in servers.items() if pid not in running]
    return _lost(f"Ray's own {' and '.join(dead)} has died") if dead else None


def _head() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)


def _silent(head: str) -> Problem | None:
    reason = silence(head)
    return _lost(f"the head of the cluster at {head} has gone: {reason}") if reason else None


def _lost(found: str) -> Problem:
    fix = "the usual reason is memory; a new Ray does the rest of the run: `ray-pipeline resume RUN`"
    return Problem(key="ray", found=found, fix=fix)
