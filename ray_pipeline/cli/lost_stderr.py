"""Standard error that nobody reads any more, or whose disk is full, is no reason to end a run or to lose its answer."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class Lenient:
    """A text stream that writes to nowhere once a write has failed.

    Parameters
    ----------
    stream
        The stream; its file descriptor is turned to the null device when it fails, for libraries that write there too.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        try:
            return self.stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self.stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):  # no file is below the stream
            os.dup2(null, self.stream.fileno())
        os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def lenient_stderr() -> Iterator[None]:
    """In the block, writing to standard error never fails."""
    kept = sys.stderr
    sys.stderr = Lenient(kept)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = kept
