"""The log of a job, as it grows: each line once, although every new connection sends the log from its beginning."""

import asyncio
from collections.abc import AsyncIterator, Callable

SILENCE_S = 10
"""After so long without a line, the job server is asked whether the job still runs."""


class LineLog:
    """Shows each complete line once.

    Parameters
    ----------
    show
        Is called with each line.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show, self._seen, self._position, self._rest = show, 0, 0, ""

    def rewind(self) -> None:
        """The next text starts at the beginning of the log again."""
        self._position = 0

    def write(self, text: str) -> None:
        """Takes the next text of the log, which may end within a line."""
        *lines, self._rest = (self._rest + text[max(0, self._seen - self._position) :]).split("\n")
        self._position += len(text)
        self._seen = max(self._seen, self._position)
        for line in lines:
            self._show(line)

    def close(self) -> None:
        """Shows a last line that has no end."""
        if self._rest:
            self._show(self._rest)


async def read_until_ended(stream: AsyncIterator[str], has_ended: Callable[[], bool]) -> AsyncIterator[str]:
    """The texts of one connection, until it closes, or until the job has ended although the connection stays open.

    Parameters
    ----------
    stream
        What Ray's client reads from the connection.
    has_ended
        Asks the job server whether the job has ended.

    Raises
    ------
    ConnectionError
        If the connection is lost.
    """
    import aiohttp

    text: asyncio.Future[str] | None = None
    try:
        while True:
            text = asyncio.ensure_future(anext(stream))
            while not (await asyncio.wait({text}, timeout=SILENCE_S))[0]:
                if has_ended():
                    return
            yield text.result()
    except StopAsyncIteration:
        return
    except aiohttp.ClientError as error:
        raise ConnectionError(str(error)) from error
    finally:
        if text and not text.done():
            text.cancel()
            await asyncio.wait({text})
