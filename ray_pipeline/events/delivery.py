"""How an event is delivered: a POST that is repeated, a command that is killed, a line of a file; each by a deadline.

No message names more of a URL than its host, because the path of a webhook is often a secret.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ray_pipeline.plain_json import plain
from ray_pipeline.redaction import redacted, redacted_values
from ray_pipeline.runtime.background import started
from ray_pipeline.runtime.progress import note

ATTEMPTS = 4
FIRST_PAUSE_S = 0.5
"""Pause before the second attempt; each further pause is twice as long."""
ATTEMPT_S = 10.0
AGAIN = (408, 425, 429)
"""Answers, beside those of 500 and above, after which a POST is repeated."""
MAX_CHARACTERS = 200


class Undelivered(Exception):
    """An event did not arrive; the text says why, without any secret."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is a failure: it would turn the POST into a GET, perhaps to a foreign host."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def body_of(event: Mapping[str, Any]) -> bytes:
    """The event as one line of JSON in UTF-8, without credentials; numbers that are not finite become null.

    >>> body_of({"event": "registered", "url": "s3://me:password@bucket"})
    b'{"event": "registered", "url": "s3://***@bucket"}'
    """
    shown = redacted_values(plain(event))
    return json.dumps(shown, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send a POST; repeat it where no answer comes, or one that says to try again.

    Parameters
    ----------
    url
        Where to.
    body
        JSON.
    headers
        Further headers.

    Raises
    ------
    Undelivered
        The last attempt failed.
    """
    own = {"Content-Type": "application/json", "User-Agent": "ray-pipeline"}
    request = urllib.request.Request(url, body, {**own, **headers}, method="POST")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _OPENER.open(request, timeout=ATTEMPT_S):
                return
        except urllib.error.HTTPError as error:
            error.close()
            failure, again = f"answered {error.code}", error.code >= 500 or error.code in AGAIN
        except (OSError, http.client.HTTPException, ValueError) as error:
            failure, again = f"did not answer ({_reason(error)})", True
        if not again or attempt == ATTEMPTS:
            times = f" {attempt} times" if attempt > 1 else ""
            raise Undelivered(f"{urlsplit(url).hostname} {failure}{times}")
        time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))


def execute(words: Sequence[str], folder: Path, body: bytes, deadline_s: float) -> None:
    """Run a command that reads the event from its standard input.

    Parameters
    ----------
    words
        The program and its arguments; no shell is used.
    folder
        The working directory.
    body
        The standard input.
    deadline_s
        Seconds after which the command is killed, with all processes of its group.

    Raises
    ------
    Undelivered
        It cannot be started, or ended with another exit code than 0, or did not end in time.
    """
    # Files, not pipes: a program that does not read, or leaves a child with its output, holds nothing up.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(body)
        given.seek(0)
        try:
            process = subprocess.Popen(
                words, stdin=given, stdout=said, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
            )
        except OSError as error:
            raise Undelivered(f"{words[0]!r} cannot be started: {error.strerror}") from None
        try:
            code = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise Undelivered(f"{words[0]!r} was killed after {deadline_s:g} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code:
            said.seek(0)
            raise Undelivered(f"{words[0]!r} ended with exit code {code}{_last_line(said.read()[-4096:])}")


def append_line(file: Path, body: bytes) -> None:
    """Append one line to a file, in one piece.

    Raises
    ------
    Undelivered
        The file cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, body + b"\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Undelivered(f"{file} cannot be written: {error.strerror}") from None


def beside(work: Callable[[], None]) -> Future[None]:
    """Start the work in a thread for which no process waits at its end; raise what it raises when asked."""
    return started(work, "ray-pipeline-event")


def failure_of(delivery: Future[None], deadline_s: float) -> str | None:
    """Wait for a delivery, and say why it failed; None if it did not."""
    try:
        delivery.result(max(deadline_s, 0))
    except TimeoutError:
        return f"not delivered within {deadline_s:g} s"
    except Undelivered as failure:
        return str(failure)
    except Exception as error:  # nothing that an event does may end a run
        return type(error).__name__
    return None


def warn(text: str) -> None:
    """Write a warning to the log of the run; to standard error where no run goes on."""
    text = redacted(text)
    if not note(text):
        print(text, file=sys.stderr, flush=True)


def _reason(error: Exception) -> str:
    """Why there was no answer, without the URL that errors of some classes repeat."""
    reason = getattr(error, "reason", error)
    text = reason.strerror if isinstance(reason, OSError) else None
    return text or type(reason).__name__


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return f": {redacted(lines[-1])[:MAX_CHARACTERS]}" if lines else ""
