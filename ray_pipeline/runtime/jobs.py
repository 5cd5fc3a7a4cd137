"""A run as a Ray job. The spec and the cluster file travel, the data does not, and the job runs the command of a user.

The job's id is the run's id. Whoever follows a job sees its log, and ends with the run's own answer and exit code.
"""

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray_pipeline.errors import Interrupted, PipelineError, Problem, ResourceError, SpecError, listed
from ray_pipeline.runtime.job_server import Job, JobExists, JobServer
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import ON, Where
from ray_pipeline.suggestion import command

LAST_LINES = 20


def job_server(where: Where) -> JobServer:
    """The job server of a cluster file: the one in `jobs`, by default port 8265 of the host in `address`.

    Raises
    ------
    SpecError
        If the cluster file names no cluster.
    ResourceError
        If no server answers there, or if it refuses the login.
    """
    if where.jobs:
        return JobServer(where.jobs, where.on)
    if where.address == "local":
        fix = (
            "name the job server in the cluster file (`jobs: http://127.0.0.1:8265`), or use `run` instead of `submit`"
        )
        raise SpecError(Problem(found="a job needs a cluster, and `address: local` is none", key="jobs", fix=fix))
    host = "127.0.0.1" if where.address == "auto" else where.address.rpartition(":")[0]
    return JobServer(f"http://{host}:8265", where.on)


def submit(
    spec_file: Path,
    where: Where,
    *,
    server: JobServer,
    sets: Sequence[str] = (),
    again: bool = False,
    submission_id: str | None = None,
    entrypoint: str | None = None,
    note: Callable[[str], object] = lambda _: None,
) -> Job:
    """Starts the run on the cluster.

    Parameters
    ----------
    spec_file
        The spec.
    where
        The cluster file.
    server
        The cluster's job server.
    sets
        Overrides, as `run --set` takes them.
    again
        Starts the run also if the same run is under way.
    submission_id
        Id of the job and of the run; by default the name, the fingerprint and the next free number.
    entrypoint
        Another shell command instead of the run.
    note
        Is called with what the user should know before the job starts.

    Returns
    -------
    Job
        Pending or running.

    Raises
    ------
    SpecError
        If the spec is wrong.
    ResourceError
        If the same run (name, fingerprint, data and storage) is under way, or if the cluster refuses the job.
    """
    spec = Spec.from_file(spec_file, sets)
    data, storage = where.resolve("", spec.folder), where.storage_folder(Path.cwd())
    same = {
        f"ray_pipeline_{key}": value
        for key, value in {"name": spec.name, "fingerprint": spec.fingerprint, "data": data, "storage": storage}.items()
    }
    jobs = server.jobs()
    under_way = [job for job in jobs if not job.has_ended and job.metadata == same]
    if under_way and not again:
        raise _under_way(under_way[0], where.on)

    if spec.external_packages:
        note(
            f"{listed(spec.external_packages)} of the spec must be on every node: installed, or in the PYTHONPATH with"
            " which Ray was started; a job brings only the spec and the cluster file"
        )
    here = server.is_this_machine()
    job_id = submission_id or _next_id(
        f"{spec.name}-{spec.fingerprint[:8]}", storage, server, [job.id for job in jobs], here=here
    )
    name = spec_file.name
    words = [
        sys.executable if here else "python",
        "-m",
        "ray_pipeline",
        "run",
        f"spec/{name}",
        "--on",
        "cluster.yaml",
        "--json",
    ]
    words += [word for override in sets for word in ("--set", override)]
    try:
        return server.start(
            job_id,
            entrypoint or shlex.join(words),
            files={f"spec/{name}": spec_file.read_bytes(), "cluster.yaml": _travelling(where, spec.folder).encode()},
            environment={"RAY_PIPELINE_RUN_ID": job_id, **({ON: where.on} if where.on else {})},
            metadata=same,
        )
    except JobExists:  # another process took the id meanwhile; look again
        if submission_id:
            raise
        return submit(spec_file, where, server=server, sets=sets, again=again, entrypoint=entrypoint)


def follow(server: JobServer, job_id: str, show: Callable[[str], object]) -> dict[str, Any]:
    """Shows the job's log until the job has ended, and returns the run's answer.

    Parameters
    ----------
    server
        The cluster's job server.
    job_id
        Id of the job.
    show
        Is called with each line of the log.

    Returns
    -------
    dict
        The run's own answer, with the job's id as `job` and its exit code as `exit`. If the job left no answer, `exit`
        is 130 if it was stopped, 4 if it was killed or never started, and its own exit code otherwise.
    """
    answer: dict[str, Any] = {}
    last: list[str] = []

    def read(line: str) -> None:
        if found := _answer(line):
            answer.clear()
            answer.update(found)
        else:
            last[:] = [*last, line][-LAST_LINES:]
            show(line)

    job = server.follow(job_id, read)
    if not answer:
        answer = _without_answer(job, last, server.on)
    return {**answer, "job": job.id, "exit": answer["exit"] if job.exit_code is None or _killed(job) else job.exit_code}


def _travelling(where: Where, base: Path) -> str:
    """The cluster file as the job needs it: its own cluster is `auto`, and no path is relative to a folder here."""
    with_absolute_paths = where.with_absolute_paths(base, Path.cwd())
    written = {
        "address": "auto",
        "data": with_absolute_paths.data or where.resolve("", base),
        **with_absolute_paths.model_dump(mode="json", exclude_defaults=True, exclude={"address", "jobs", "data"}),
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in written.items())


def _answer(line: str) -> dict[str, Any] | None:
    """The verb's JSON answer, if the line is one."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("exit"), int) and "status" in value else None


def _without_answer(job: Job, last: Sequence[str], on: str | None) -> dict[str, Any]:
    if job.status == "SUCCEEDED":
        return {"status": "done", "exit": 0}
    if job.status == "STOPPED":
        error: PipelineError = Interrupted(
            Problem(found=f"the job {job.id} was stopped", fix=f"continue it: `{command('resume', job.id, on=on)}`")
        )
    elif _killed(job):
        fix = f"the usual reason is memory: `{command('plan', 'SPEC', on=on)}` counts what a run needs"
        error = ResourceError(Problem(found=f"the job {job.id} was killed by signal {_killed(job)}", fix=fix))
    elif job.exit_code is None:
        reason = job.message.strip() or "no reason given"
        error = ResourceError(
            Problem(found=f"the job {job.id} never ran: {reason}", fix="repair the cluster, then submit again")
        )
    else:
        shown = " | ".join(line for line in last if line.strip())
        error = PipelineError(
            Problem(
                found=f"the job {job.id} ended with exit code {job.exit_code} and without an answer",
                fix=f"its last lines: {shown}",
            )
        )
    status = "interrupted" if isinstance(error, Interrupted) else "error"
    return {"status": status, "exit": error.exit_code, "problems": [problem.as_json() for problem in error.problems]}


def _killed(job: Job) -> int:
    """The signal that ended the job's process; 0 if none did. (130 is the exit code of a run that was interrupted.)"""
    code = job.exit_code or 0
    return -code if code < 0 else code - 128 if code > 128 and code != Interrupted.exit_code else 0


def _under_way(job: Job, on: str | None) -> ResourceError:
    since = f" since {job.started:%Y-%m-%d %H:%M:%S} UTC" if job.started else ""
    look = command("logs", job.id, "--follow", on=on)
    fix = f"look at it with `{look}`, or start it once more with `submit --again`"
    error = ResourceError(Problem(found=f"this run is under way{since} as job {job.id} ({job.status})", fix=fix))
    error.answer = {"job": job.id}
    return error


def _next_id(stem: str, storage: str, server: JobServer, job_ids: Sequence[str], *, here: bool) -> str:
    """`stem-<n>`, with the next number that neither a job nor a run folder has; a hash if the runs cannot be seen here.

    It is never random: two submits at the same time choose the same id, and Ray gives it to the first of them only.
    """
    try:
        taken = [*job_ids, *_run_folders(storage, here=here)]
    except OSError:
        return f"{stem}-{hashlib.sha256(f'{server.cluster_id()} {len(job_ids)}'.encode()).hexdigest()[:6]}"
    numbers = [int(found[1]) for name in taken if (found := re.fullmatch(rf"{re.escape(stem)}-(\d+)", name))]
    return f"{stem}-{max(numbers, default=0) + 1}"


def _run_folders(storage: str, *, here: bool) -> list[str]:
    """The names in a storage folder or bucket; raises OSError if it cannot be seen from here."""
    if "://" not in storage:
        folder = Path(storage)
        if not folder.is_dir() and not here:
            raise FileNotFoundError(storage)
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []
    from pyarrow import ArrowException, fs

    try:
        system, path = fs.FileSystem.from_uri(storage)
        return [entry.base_name for entry in system.get_file_info(fs.FileSelector(path, allow_not_found=True))]
    except ArrowException as error:
        raise OSError(str(error)) from error
