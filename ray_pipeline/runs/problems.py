"""What ends a run early comes out as a `PipelineError` with the run's id and the spec's lines, and is journalled."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ray_pipeline.errors import Interrupted, PipelineError, Problem, ResourceError, StorageError
from ray_pipeline.runtime.lost_ray import last_words
from ray_pipeline.runtime.ray_errors import causes
from ray_pipeline.spec import Spec
from ray_pipeline.suggestion import RESUME, command
from ray_pipeline.unexpected import TRACEBACK, one_line, unexpected

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run


ABSENT = re.compile(r"^ModuleNotFoundError: No module named '(\w+)")
FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Why the disk refuses a write: no space, or no permission."""


@contextmanager
def explained(run: "Run") -> Iterator[None]:
    """Turn an interruption and a full or read-only disk into problems; name run, file and line of every problem.

    Raises
    ------
    PipelineError
        In place of what was raised. An error that nobody expected leaves its traceback in the run folder.
    """
    try:
        with _last_words_of(run):
            yield
    except KeyboardInterrupt:
        problem = Problem(
            stage=run.progress.last_stage,
            found="interrupted; nothing is half-written",
            fix=f"go on with {_resume(run)}",
        )
        raise _journalled(run, Interrupted(problem)) from None
    except PipelineError as error:
        error.problems = tuple(_completed(problem, run) for problem in error.problems)
        raise _journalled(run, error) from error.__cause__
    except Exception as error:
        if absent := _not_on_a_worker(error, run):
            raise _journalled(run, ResourceError(_completed(absent, run))) from error
        if not (refused := _refused_by_disk(error)):
            raise _journalled(run, unexpected(error, lambda text: _write_traceback(run, text))) from error
        remedy = "free some space" if refused.errno in FULL else "let this user write there"
        problem = Problem(
            stage=run.progress.last_stage,
            file=run.folder.address,
            found=f"{refused.strerror or refused}{f' ({refused.filename})' if refused.filename else ''}",
            fix=f"{remedy}, then {_resume(run)}: what is finished is kept",
        )
        raise _journalled(run, StorageError(problem)) from error


@contextmanager
def _last_words_of(run: "Run") -> Iterator[None]:
    """In the block, what answers in place of a main thread that hangs or will be ended knows the run."""
    if not last_words:
        yield
        return
    answer = last_words[-1]

    def of_run(error: ResourceError) -> None:
        error.problems = tuple(replace(_completed(one, run), stage=run.progress.last_stage) for one in error.problems)
        error.answer = {"run": run.id}
        answer(error)

    last_words.append(of_run)
    try:
        yield
    finally:
        last_words.remove(of_run)


def _write_traceback(run: "Run", text: str) -> str:
    run.folder.write(TRACEBACK, text)
    return f"{run.folder.address}/{TRACEBACK}"


def _refused_by_disk(error: BaseException) -> OSError | None:
    """The disk's refusal at the root of a chain of wrapped errors."""
    refused = (one for one in causes(error) if isinstance(one, OSError) and one.errno in (*FULL, *CLOSED))
    return next(refused, None)


def _not_on_a_worker(error: BaseException, run: "Run") -> Problem | None:
    """The package of the spec's own classes that this process has, and a worker has not."""
    absent = ABSENT.search(one_line(error))
    if absent is None or absent[1] not in run.spec.external_packages:
        return None
    found = f"a worker cannot import {absent[1]!r}, which the spec uses"
    return Problem(found=found, fix=f"install it on every node, or put its folder into PYTHONPATH there; then {RESUME}")


def _resume(run: "Run") -> str:
    return f"`{command('resume', run.id, on=run.where.on)}`"


def _completed(problem: Problem, run: "Run") -> Problem:
    """The problem with its line, and with the command that resumes this run."""
    fix = problem.fix.replace(RESUME, _resume(run))
    if problem.key == "registry" and RESUME not in problem.fix:
        fix = f"{fix}; then {_resume(run)}: what is finished is kept"
    return _with_line(replace(problem, fix=fix), run.spec)


def _with_line(problem: Problem, spec: Spec) -> Problem:
    """The problem with the line of the spec that holds its key; workers, who find some problems, do not know it."""
    if problem.file or not problem.key:
        return problem
    file, line = spec.place(problem.key)
    return replace(problem, file=file, line=line) if line else problem


def _journalled(run: "Run", error: PipelineError) -> PipelineError:
    error.answer = {"run": run.id}
    with suppress(StorageError):  # the disk may be what is wrong
        run.journal.record("problem", {"exit": error.exit_code, "problems": [one.as_json() for one in error.problems]})
    return error
