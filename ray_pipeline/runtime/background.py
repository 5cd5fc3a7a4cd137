"""Work in a thread beside the main thread: its errors are never lost, and nobody waits for it after an error."""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from queue import Empty, Queue
from typing import NoReturn, TypeVar

T = TypeVar("T")
THREAD_NAME = "ray-pipeline-background"


def started(work: Callable[[], T], name: str) -> Future[T]:
    """Start the work in a thread of that name for which no process waits at its end."""
    future = Future[T]()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


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
    future = started(work, THREAD_NAME)
    try:
        yield future.result
    except BaseException as error:
        failure = future.exception() if future.done() else None
        if failure is not None and failure not in (error, error.__cause__, error.__context__):
            error.add_note(f"Background work failed too: {type(failure).__name__}: {failure}")
        raise
    future.result()


_Answer = tuple[bool, T | BaseException | None]


def items_in_time(items: Iterable[T], seconds: float | None) -> Iterator[T]:
    """Yields what an iterable gives, which runs in a daemon thread, one item ahead.

    A consumer that stops early, by an exception or Ctrl-C, does not wait for the thread, which ends with its item.

    Parameters
    ----------
    items
        For example the rows of a server, which may never answer.
    seconds
        How long each item may take; None for any time.

    Raises
    ------
    TimeoutError
        An item took longer.
    BaseException
        What the iterable raised.

    Examples
    --------
    >>> list(items_in_time(range(3), seconds=60))
    [0, 1, 2]
    """
    answers, left = Queue[_Answer[T]](maxsize=1), threading.Event()

    def work() -> None:
        try:
            for item in items:
                answers.put((True, item))
                if left.is_set():
                    return
            answers.put((False, None))
        except BaseException as error:
            answers.put((False, error))

    threading.Thread(target=work, name=THREAD_NAME, daemon=True).start()
    try:
        while True:
            try:
                is_item, answer = answers.get(timeout=seconds)
            except Empty:
                raise TimeoutError from None
            if not is_item:
                break
            yield answer  # type: ignore[misc]
        if isinstance(answer, BaseException):
            raise answer
    finally:
        left.set()
        with suppress(Empty):  # the thread may wait for room
            answers.get_nowait()


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
