"""Work in a thread beside the main thread: its errors are never lost, and nobody waits for it after an error."""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NoReturn, TypeVar

T = TypeVar("T")
THREAD_NAME = "ray-pipeline-background"


@contextmanager
def in_background(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Runs the work in a daemon thread while the block runs.

    A block that ends normally waits for the work. A block that ends by an exception, Ctrl-C included, does not: the
    thread is left alone, and neither the caller nor the interpreter's exit waits for it.

    Parameters
    ----------
    work
        Is called once, without arguments, in the thread.

    Yields
    ------
    Callable
        Waits for the work. It returns the result, or raises what the work raised. Ctrl-C ends the wait.

    Raises
    ------
    BaseException
        What the work raised, also if the block never asked for the result. If the block raises an exception of its own,
        the error of a work that has failed by then is added to that exception as a note.

    Examples
    --------
    >>> with in_background(lambda: 6 * 7) as answer:
    ...     answer()
    42
    """
    future = Future[T]()
    threading.Thread(target=_run, args=(work, future), name=THREAD_NAME, daemon=True).start()
    try:
        yield future.result
    except BaseException as error:
        failure = future.exception() if future.done() else None
        if failure is not None and failure not in (error, error.__cause__, error.__context__):
            error.add_note(f"Background work failed too: {type(failure).__name__}: {failure}")
        raise
    future.result()


EXIT_S = 4.0
"""Tune's function waits a minute for a Ray that has gone, such as after a second Ctrl-C."""


def end_process(exit_code: int) -> NoReturn:
    """Ends the process at once, with this exit code.

    When the interpreter ends before a thread within a C++ library, the library may abort the process (PyTorch and the
    S3 client of Arrow do, with exit code 134). So the functions of `atexit` run, and then the process ends without the
    interpreter's own end. They have `EXIT_S` seconds.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    late = threading.Timer(EXIT_S, os._exit, [exit_code])
    late.daemon = True
    late.start()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _run(work: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
