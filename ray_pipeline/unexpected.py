"""An error that nobody expected: what happened in one line, and a file that holds the whole traceback."""

import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.redaction import redacted

TRACEBACK = "traceback.txt"
MAX_CHARACTERS = 300


def unexpected(error: BaseException, write: Callable[[str], str] | None = None) -> PipelineError:
    """The error in one line, with the name of the file that holds its traceback.

    Parameters
    ----------
    error
        Any error that is no `PipelineError`, also one that Ray brought from a worker.
    write
        Writes the traceback and returns the name of the file; if it fails or is None, the temporary folder is used.
    """
    written = redacted("".join(traceback.format_exception(error)))
    file, text = None, written.encode("utf-8", "backslashreplace").decode()
    for attempt in (write, _write_temporary):
        if file is None and attempt is not None:
            with suppress(OSError, PipelineError):
                file = attempt(text)
    fix = f"report it with {file}, which holds the traceback" if file else "run again with --debug and report it"
    return PipelineError(Problem(found=f"a bug of ray-pipeline: {one_line(error)}", fix=fix))


def one_line(error: BaseException) -> str:
    """The class and the message of what went wrong, below the errors in which Ray wrapped it; of a `PipelineError` what
    was found.

    Examples
    --------
    >>> one_line(ValueError("no such thing\\nsecond line"))
    'ValueError: no such thing'
    """
    seen = set[int]()
    while id(error) not in seen:
        seen.add(id(error))
        cause = getattr(error, "cause", None) or (error.__cause__ if _is_of_ray(error) else None)
        error = cause if isinstance(cause, BaseException) else error
    if isinstance(error, PipelineError):
        return error.problems[0].found[:MAX_CHARACTERS]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and (_is_of_ray(error) or lines[0].startswith("Traceback")):
        return lines[-1][:MAX_CHARACTERS]  # the text is a traceback, and the cause its last line
    return ": ".join([type(error).__name__, *lines[:1]])[:MAX_CHARACTERS]


def _is_of_ray(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == "ray"


def _write_temporary(text: str) -> str:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="ray-pipeline-", suffix=f"-{TRACEBACK}", delete=False
    ) as opened:
        opened.write(text)
    return str(Path(opened.name))
