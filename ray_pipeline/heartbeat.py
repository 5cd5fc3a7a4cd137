"""Signs of life of a process that trains: a file whose time changes. Another process can thus see that it hangs.

A thread of the process itself would not do: native code that hangs may hold Python's lock.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = "ray-pipeline-heartbeats"
"""Below a folder that all processes of a node share: a file for each process that works, named by its id."""
BEAT_EVERY_S = 1.0


class _Heart:
    """The file of this process while it works, and when its time was last changed."""

    file: Path | None = None
    beaten = 0.0


_heart = _Heart()


@contextmanager
def heartbeats(shared: Path) -> Iterator[None]:
    """In the block, this process must call `beat` again and again, or it counts as hung.

    Parameters
    ----------
    shared
        A folder that the processes of this node share.
    """
    file = shared / FOLDER / str(os.getpid())
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.touch()
    _heart.file = file
    try:
        yield
    finally:
        _heart.file = None
        file.unlink(missing_ok=True)


def beat() -> None:
    """Say that the work of this process goes on; cheap enough for every batch of rows. Without a watcher, do nothing.

    >>> beat()
    """
    now = time.monotonic()
    if _heart.file is not None and now - _heart.beaten > BEAT_EVERY_S:
        _heart.beaten = now
        with suppress(OSError):  # a full disk is no reason to end a trial
            os.utime(_heart.file)


@contextmanager
def beating() -> Iterator[None]:
    """In the block, a thread calls `beat`: for one long call of a library that says nothing meanwhile.

    Only a hang that holds Python's lock is noticed then.
    """
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(BEAT_EVERY_S):
            beat()

    thread = threading.Thread(target=work, name="ray-pipeline-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def beats(shared: Path) -> dict[int, int]:
    """Return the time of the last beat of each process that works, in nanoseconds, by its process id."""
    found = {}
    for file in (shared / FOLDER).glob("[0-9]*"):
        with suppress(OSError):  # its work has just ended
            found[int(file.name)] = file.stat().st_mtime_ns
    return found


def forget(shared: Path, pid: int) -> None:
    """Remove the file of a process that was killed at work."""
    (shared / FOLDER / str(pid)).unlink(missing_ok=True)
