"""How every verb speaks: progress and problems on standard error, one JSON object as the last line of standard output,
an exit code."""

import functools
import inspect
import json
import math
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ray_pipeline.errors import Interrupted, PipelineError, Problem
from ray_pipeline.runtime.background import end_process

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks, and the chatter of Ray, Tune and MLflow.")]
MODES = {"json": Json, "quiet": Quiet, "debug": Debug}


class Answer(Exception):
    """Ends a verb with an answer whose exit code is not zero, though nothing went wrong (a refused model)."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        super().__init__(answer.get("status"))


def verb(
    app: typer.Typer, name: str | None = None
) -> Callable[[Callable[..., dict[str, Any] | None]], Callable[..., None]]:
    """Makes a command of a function that returns its JSON answer (and prints for people itself, on `typer.echo`).

    The function may take `quiet` and `debug`; `--json`, `--quiet` and `--debug` are added to every command. With
    `--json`
    whatever the function prints to standard output goes to standard error, so that the answer stands alone.
    """

    def decorate(function: Callable[..., dict[str, Any] | None]) -> Callable[..., None]:
        own = inspect.signature(function).parameters
        extra = [
            inspect.Parameter(mode, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for mode, kind in MODES.items()
        ]

        @functools.wraps(function)
        def command(**given: Any) -> None:
            modes = {mode: given.pop(mode) for mode in MODES}
            end_process(finish(lambda: function(**given, **{m: v for m, v in modes.items() if m in own}), **modes))

        parameters = [p for p in own.values() if p.name not in MODES]
        command.__signature__ = inspect.Signature([*parameters, *extra])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in [*parameters, *extra]}
        app.command(name)(command)
        return command

    return decorate


def finish(
    work: Callable[[], dict[str, Any] | None], *, json: bool = False, quiet: bool = False, debug: bool = False
) -> int:
    """Runs a verb to its end, prints what the contract asks for and returns the exit code."""
    out = sys.stdout
    previous = signal.signal(signal.SIGTERM, _interrupt)
    if json:
        sys.stdout = sys.stderr
    try:
        answer = {"status": "done", "exit": 0, **(work() or {})}
    except Answer as refused:
        answer = refused.answer
    except (KeyboardInterrupt, typer.Abort):
        answer = failure(
            Interrupted(Problem(found="interrupted", fix="nothing is half-written; start again, or resume the run"))
        )
    except PipelineError as error:
        answer = {**failure(error), **getattr(error, "answer", {})}
        if debug:
            traceback.print_exc()
    except Exception as error:
        if debug:
            traceback.print_exc()
        answer = failure(
            PipelineError(
                Problem(
                    found=f"a bug of ray-pipeline: {type(error).__name__}: {error}",
                    fix="run again with --debug and report the traceback",
                )
            )
        )
    finally:
        sys.stdout = out
        signal.signal(signal.SIGTERM, previous)
    for problem in answer.get("problems", []):
        typer.echo(str(Problem(**problem)), err=True)
    if json:
        print(to_json(answer), flush=True)
    return int(answer["exit"])


def failure(error: PipelineError) -> dict[str, Any]:
    """The JSON answer of a verb that ended with an error."""
    status = "interrupted" if isinstance(error, Interrupted) else "error"
    return {"status": status, "exit": error.exit_code, "problems": [problem.as_json() for problem in error.problems]}


def to_json(value: object) -> str:
    """One line of JSON; numbers that are not finite become null."""
    return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
