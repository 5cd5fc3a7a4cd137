"""The process that the workers of a local Ray are forked from: it has imported what they need, once for all of them.

A worker that starts by itself imports Ray twice, and then what a run needs: 2 s of processor time. A fork begins after
0.1 s, and shares the memory of all that was imported.

Arguments: the number of the open socket that it listens on, and the module to import. It ends when its standard input
does: then the process that has started it has ended.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ray_pipeline.runtime import private_forks

READ_S = 10.0


def main(listener: socket.socket, imports: str) -> None:
    """Fork a worker for each request of `local_ray_worker.py`."""
    # As in all processes that Ray starts: Ctrl-C is for the driver.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with private_forks.imports_before_forks():
        import_module(imports)
    if not private_forks.forks_draw_other_ids():
        return
    gc.collect()
    gc.freeze()  # the collector would write to every page that the forks share
    signal.signal(signal.SIGCHLD, _reap)
    if request := _request_of_fork(listener):
        _become_worker(**request)


def _request_of_fork(listener: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; return the request in the fork, and None in this process when its input has ended."""
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(READ_S)
            try:
                request = json.load(connection.makefile())
            except (OSError, ValueError):  # whoever asked has ended
                continue
            if not _fork():
                connection.sendall(b"\n")
                listener.close()
                return dict(request)
    return None


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns of other threads. Those of OpenBLAS and jemalloc are ready for forks.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _reap(*_: Any) -> None:
    """Take note of forks that have ended, so that nothing of them is left."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_worker(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Run Ray's file for workers, the first of the arguments, as Python does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # when a worker ends, the raylet ends the group of its processes
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    sys.argv, sys.path = arguments, [str(Path(arguments[0]).parent), *sys.path]
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
