"""Checks before any training that the registry answers and may be written, and lets one process at a time write to a
sqlite file."""

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import closing, contextmanager
from pathlib import Path

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry.address import sqlite_file
from ray_pipeline.runtime.background import started

DEADLINE_S = 15
LOCK_S = 60
"""Patience of a run with all others that write to the same sqlite file."""
BUSY_S = 10
"""Patience of those who only read with another program that has locked the sqlite file."""


def prepare(uri: str, connect: Callable[[str], object]) -> None:
    """Returns when the registry has answered. The first of many processes creates the sqlite file.

    Parameters
    ----------
    uri
        Address of the registry.
    connect
        Asks the registry at an address something; in a new sqlite file, it creates the tables.

    Raises
    ------
    RegistryError
        If a server does not answer within `DEADLINE_S` seconds, or if a sqlite file is damaged, read-only or locked.
    """
    file = sqlite_file(uri)
    if file is None:
        answers(uri, lambda: connect(uri))
        return
    _refuse_other_than_file(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(
            Problem(
                file=str(file),
                found=f"cannot be created: {error}",
                fix="name a folder that you may write, or another registry",
            )
        ) from error
    with writing(uri):
        if file.stat().st_size == 0:
            _create(file, connect)
        _check_sqlite(file)
        connect(uri)


def _create(file: Path, connect: Callable[[str], object]) -> None:
    """Creates the tables in a file beside it, which then takes its place.

    A process that is killed meanwhile leaves no registry that lacks tables: MLflow cannot complete one.
    """
    new = file.with_name(f"{file.name}.new")
    for left in (new, new.with_name(f"{new.name}-journal")):
        left.unlink(missing_ok=True)
    connect(f"sqlite:///{new}")
    if new.exists():
        new.replace(file)


def readable(file: Path, patience_s: float | None = None) -> None:
    """Returns when a sqlite file has been opened and holds a registry. Creates nothing.

    Parameters
    ----------
    patience_s
        How long a lock on it is waited for; `BUSY_S` seconds unless given.

    Raises
    ------
    RegistryError
        If it is no database, is locked for longer than that, or lacks MLflow's tables.
    """
    patience_s = BUSY_S if patience_s is None else patience_s
    _refuse_other_than_file(file)
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=patience_s)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise _locked(file, patience_s) from error
        raise RegistryError(
            Problem(file=str(file), found=f"cannot be read: {error}", fix="name the file of a registry")
        ) from error
    if "registered_models" not in tables:
        found = f"is a database without MLflow's tables ({len(tables)} other tables)"
        raise RegistryError(Problem(file=str(file), found=found, fix="name the file of a registry"))


def _refuse_other_than_file(file: Path) -> None:
    if file.exists() and not file.is_file():
        found = "is a folder" if file.is_dir() else "is no regular file"
        fix = "name a file in it, as in sqlite:///path/mlflow.db" if file.is_dir() else "name a file of its own"
        raise RegistryError(Problem(file=str(file), found=f"{found}, and no sqlite registry", fix=fix))


@contextmanager
def writing(uri: str) -> Iterator[None]:
    """During the block no other run writes to the sqlite file. For a server it does nothing.

    MLflow itself waits 20 s for a lock and does not try again; twenty runs that end together need more.

    Raises
    ------
    RegistryError
        If the file may not be written, or if another run uses it or another program locks it for more than `LOCK_S`
        seconds.
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
    if file.exists() and not file.stat().st_mode & 0o222:  # root can write to it, but its owner forbids it
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
                raise _locked(file, LOCK_S) from None
            time.sleep(0.05)


def _wait_until_free(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file, timeout=LOCK_S, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise _locked(file, LOCK_S) from error
        raise RegistryError(
            Problem(
                file=str(file),
                found=f"cannot be used: {error}",
                fix="allow writing to it, free space, or restore it from a backup",
            )
        ) from error


def _locked(file: Path, seconds: float) -> RegistryError:
    return RegistryError(
        Problem(
            file=str(file),
            found=f"was locked by another process for {seconds:g} s",
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


def answers(uri: str, connect: Callable[[], object]) -> None:
    """Returns when `connect` has returned.

    It runs in its own thread: a server that sends one byte a second would never reach a timeout, and MLflow tries for
    minutes to reach a database.

    Raises
    ------
    RegistryError
        If it takes more than `DEADLINE_S` seconds.
    """
    answer = started(connect, "registry-preflight")
    if not wait([answer], DEADLINE_S).done:
        raise RegistryError(
            Problem(
                key="registry",
                found=f"{uri} did not answer within {DEADLINE_S:g} s",
                fix="check the address and that the server runs",
            )
        )
    answer.result()
