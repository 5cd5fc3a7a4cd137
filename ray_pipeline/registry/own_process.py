"""A registry in a process of its own: it imports MLflow and opens the database beside the run, on an idle core.

MLflow's imports take 2 to 4 s of Python. In the driver they would hold up the start of Ray and the reading.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry import package
from ray_pipeline.registry.champion_history import CHAMPION
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.registry.registry import Registry
from ray_pipeline.registry.versions import remove_copies
from ray_pipeline.runtime.parsing import one_parser

NICE = 10
"""Priority while the registry is prepared: Ray starts at the same time, and the run waits for Ray."""
END_S = 5.0


@contextmanager
def in_own_process(registry: Registry) -> Iterator[Registry]:
    """Yield the same registry, whose calls of a run are answered by another process.

    The process ends with the block. It also ends at once if this process is killed; a registration that this cuts off
    is completed by the next one of the same run.
    """
    ours, theirs = Pipe()
    # It imports from where this process does, which may be a notebook: Python's own variables are not enough for that.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({theirs.fileno()})"
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        start_new_session=True,  # so that Ctrl-C does not reach it
    )
    theirs.close()
    elsewhere = _Elsewhere(uri=registry.uri, artifacts=registry.artifacts, debug=registry.debug, connection=ours)
    try:
        ours.send(registry)
        yield elsewhere
    finally:
        if elsewhere.one_at_a_time.locked():  # a thread that an interruption has left waits for an answer
            process.kill()
        ours.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class _Elsewhere(Registry):
    """A registry whose calls of a run go to another process."""

    connection: Connection = field(kw_only=True)
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Return when the registry has answered and can be written."""
        self._call("prepare")

    def register(self, version: NewVersion) -> int:
        """Store a version, prove it, and return its number."""
        return int(self._call("register", version))

    def champion(self, name: str, alias: str = CHAMPION) -> tuple[int, Path] | None:
        """Return the number and the bundle folder of the version with the alias."""
        found: tuple[int, Path] | None = self._call("champion", name, alias)
        return found

    def promote(self, model: str, *, force: bool = False, reason: str | None = None) -> dict[str, Any]:
        """Make a version champion and return the move."""
        move: dict[str, Any] = self._call("promote", model, force=force, reason=reason)
        return move

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What the method returns there; raise what it raises there."""
        with self.one_at_a_time:
            try:
                self.connection.send((method, arguments, options))
                error, result = self.connection.recv()
            except (EOFError, OSError):
                found = f"the process that talks to {self.uri} has ended"
                fix = "`ray-pipeline resume RUN` registers a finished run"
                raise RegistryError(Problem(key="registry", found=found, fix=fix)) from None
        if error is not None:
            raise error
        return result


def serve(descriptor: int) -> None:
    """Answer calls until the other end of the connection closes; then end at once, whatever goes on."""
    connection = Connection(descriptor)
    with one_parser():
        try:
            registry = connection.recv()
            while True:
                call = connection.recv()
                threading.Thread(target=_answer, args=(connection, registry, *call), daemon=True).start()
        except EOFError:
            remove_copies()
            os._exit(0)


def _answer(
    connection: Connection, registry: Registry, method: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Call the method and send what it returns or raises."""
    error: Exception | None = None
    result: Any = None
    try:
        if method == "prepare":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone
        result = getattr(registry, method)(*arguments, **options)
    except Exception as raised:
        error = raised
    try:
        connection.send((error, result))
    except OSError:
        return
    except Exception as unsent:  # it cannot be pickled
        told = error or unsent
        connection.send((RuntimeError(f"{type(told).__name__}: {told}"), None))
    if method == "prepare":
        package.warm_up()
