"""Is the registry there and may we write? Asked once, before any training; and one writer at a time on a sqlite
file."""

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry.address import hidden, sqlite_file

DEADLINE_S = 15
LOCK_S = 60


def prepare(uri: str, connect: Callable[[], object]) -> None:
    """Returns once the registry has answered; a sqlite file is made, with what `connect` gives it, by the first of many
    processes.

    Raises:
        RegistryError: no answer within 15 s; or the sqlite file is damaged, read-only, or locked for more than 60 s.
    """
    file = sqlite_file(uri)
    if file is None:
        _within(DEADLINE_S, uri, connect)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(
            Problem(
                file=str(file),
                found=f"cannot be made: {error}",
                fix="name a folder that you may write, or another registry",
            )
        ) from error
    with writing(uri):
        _check_sqlite(file)
        connect()


@contextmanager
def writing(uri: str) -> Iterator[None]:
    """While it lasts, no other process of ours writes to that sqlite file, and no stranger held it at the start;
    nothing for servers.

    MLflow itself waits 20 s for a lock and does not retry; twenty runs that end together need more.
    """
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    try:
        lock = file.with_name(file.name + ".lock").open("a")
    except OSError as error:
        raise RegistryError(
            Problem(
                file=str(file),
                found=f"may not be written: {error}",
                fix="allow writing in its folder, or name another registry",
            )
        ) from error
    if file.exists() and not file.stat().st_mode & 0o222:  # root may write all the same, but the owner said no
        lock.close()
        raise RegistryError(
            Problem(file=str(file), found="is read-only", fix="allow writing (chmod u+w), or name another registry")
        )
    with lock:
        _lock(lock.fileno(), file)
        _wait_until_free(file)
        yield


def _lock(descriptor: int, file: Path) -> None:
    end = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise _locked(file) from None
            time.sleep(0.05)


def _wait_until_free(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file, timeout=LOCK_S, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise _locked(file) from error
        raise RegistryError(
            Problem(
                file=str(file),
                found=f"cannot be used: {error}",
                fix="allow writing to it, free space, or restore it from a backup",
            )
        ) from error


def _locked(file: Path) -> RegistryError:
    return RegistryError(
        Problem(
            file=str(file),
            found=f"was locked by another process for {LOCK_S} s",
            fix="end that process, or use an MLflow server (`mlflow server`) for many writers",
        )
    )


def _check_sqlite(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as database:
            (first,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        first = str(error)
    if first != "ok":
        raise RegistryError(
            Problem(
                file=str(file), found=f"is damaged: {first}", fix="restore it from a backup, or name another registry"
            )
        )


def _within(seconds: float, uri: str, connect: Callable[[], object]) -> None:
    """Runs `connect` in a thread of its own: a server that drips one byte a second must not hold us."""
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            connect()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, name="registry-preflight", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise RegistryError(
            Problem(
                key="registry",
                found=f"{hidden(uri)} did not answer within {seconds:g} s",
                fix="check the address and that the server runs",
            )
        )
    if raised:
        raise raised[0]
