"""How every verb answers: progress and problems on standard error, on request one JSON object as the last line of
standard output, and an exit code."""

import functools
import inspect
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from ray_pipeline.cli.lost_stderr import lenient_stderr
from ray_pipeline.errors import Interrupted, PipelineError, Problem, StorageError
from ray_pipeline.plain_json import plain
from ray_pipeline.redaction import redacted, redacted_values
from ray_pipeline.runtime.lost_ray import last_words
from ray_pipeline.unexpected import unexpected

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks, and the logs of Ray, Tune and MLflow.")]
MODES = {"json": Json, "quiet": Quiet, "debug": Debug}

LINE_ENDS = {ord(end): ascii(end)[1:-1] for end in "\u2028\u2029"} | {0x85: "\\u0085"}
"""Characters within JSON texts at which `str.splitlines` would cut the answer."""

Verb = Callable[..., dict[str, Any] | None]


class Answer(Exception):
    """Ends a verb with an answer whose exit code is not zero, though nothing went wrong: a refused model."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        super().__init__(answer.get("status"))


def add_verb(app: typer.Typer, function: Verb, name: str | None = None) -> None:
    """Make a command of a function.

    The function prints for people with `typer.echo` and returns its JSON answer. Every command gets the options
    `--json`, `--quiet` and `--debug`; a function that has a parameter `quiet` or `debug` is given its value. With
    `--json` all that the function prints goes to standard error, so that the answer stands alone.
    """
    own = inspect.signature(function).parameters
    modes = [
        inspect.Parameter(mode, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for mode, kind in MODES.items()
    ]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        chosen = {mode: given.pop(mode) for mode in MODES}
        taken = {mode: value for mode, value in chosen.items() if mode in own}
        raise SystemExit(finish(lambda: function(**given, **taken), **chosen))

    parameters = [*(parameter for parameter in own.values() if parameter.name not in MODES), *modes]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app.command(name)(command)


def finish(work: Verb, *, json: bool = False, quiet: bool = False, debug: bool = False) -> int:
    """Run a verb to its end, print its problems and, with `json`, its answer; return the exit code."""
    with lenient_stderr():
        return _finish(work, json, debug)


def _finish(work: Verb, json: bool, debug: bool) -> int:
    out = sys.stdout
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does
    if json:
        sys.stdout = sys.stderr
    last_words.append(lambda error: _end_with(error, out if json else None))
    try:
        answer = _answer(work, debug)
    finally:
        last_words.pop()
        sys.stdout = out
        signal.signal(signal.SIGTERM, previous)
    return _told(answer, out if json else None)


def _end_with(error: PipelineError, out: TextIO | None) -> NoReturn:
    """End the process with an error's answer, whatever the main thread does."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # the live view of progress hides the cursor
    os._exit(_told({**failure(error), **error.answer}, out))


def _told(answer: dict[str, Any], out: TextIO | None) -> int:
    """Print the problems of an answer, and the answer to `out` if it is given; return the exit code."""
    for problem in answer.get("problems", []):
        typer.echo(str(Problem(**problem)), err=True)
    if out:
        print_json(answer, out)
    return int(answer["exit"])


def _answer(work: Verb, debug: bool) -> dict[str, Any]:
    """The answer of a verb, also if it ends with an error."""
    try:
        require_folder()
        return {"status": "done", "exit": 0, **(work() or {})}
    except Answer as refused:
        return refused.answer
    except (KeyboardInterrupt, typer.Abort):
        fix = "nothing is half-written; start again, or resume the run"
        return failure(Interrupted(Problem(found="interrupted", fix=fix)))
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return {"status": "done", "exit": 0}
        if debug:
            typer.echo(redacted(traceback.format_exc()), err=True)
        if isinstance(error, PipelineError):
            return {**failure(error), **getattr(error, "answer", {})}
        return failure(unexpected(error))


def _reader_is_gone() -> bool:
    """Whether nobody reads standard output any more, as after `| head -3`; the rest then goes nowhere."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone


def failure(error: PipelineError) -> dict[str, Any]:
    """Return the JSON answer of a verb that ended with an error."""
    status = "interrupted" if isinstance(error, Interrupted) else "error"
    return {"status": status, "exit": error.exit_code, "problems": [problem.as_json() for problem in error.problems]}


def require_folder() -> None:
    """Raise `StorageError` if the current folder was deleted: no relative path has a meaning there."""
    try:
        Path.cwd()
    except OSError:
        found, fix = "the current folder was deleted", "change to another folder (`cd`), then run again"
        raise StorageError(Problem(found=found, fix=fix)) from None


def print_json(answer: dict[str, Any], out: TextIO) -> None:
    """Print one line of JSON; characters that the terminal does not have are escaped."""
    line = to_json(answer)
    try:
        line.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        line = to_json(answer, ascii_only=True)
    print(line, file=out, flush=True)


def to_json(value: object, *, ascii_only: bool = False) -> str:
    """Return one line of JSON without credentials; numbers that are not finite become null.

    >>> to_json({"auc": float("nan"), "rows": (1, 2)})
    '{"auc": null, "rows": [1, 2]}'
    """
    line = json.dumps(redacted_values(plain(value)), ensure_ascii=ascii_only, default=str)
    return line.translate(LINE_ENDS)
