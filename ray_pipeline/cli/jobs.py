"""The verbs of a run on somebody else's machine: submit, status, logs, stop."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ray_pipeline.cli.output import Answer, verb
from ray_pipeline.errors import Interrupted, Problem

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, as for `run`.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, which is the run's.")]
Cluster = Annotated[str, typer.Option("--on", metavar="C", help="Cluster file: a path, or NAME for cluster/NAME.yaml.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override one key of the spec; may be repeated.")
]
Again = Annotated[bool, typer.Option("--again", help="Start it although the same run is under way.")]
Detach = Annotated[bool, typer.Option("--detach", help="Come back as soon as the job is accepted.")]
Follow = Annotated[bool, typer.Option("--follow", help="Stay until the job is over.")]


def add(app: typer.Typer) -> None:
    """Registers the four verbs."""
    for function in (submit, status, logs, stop):
        verb(app, function.__name__)(function)


def submit(
    spec: SpecFile, on: Cluster, sets: Sets = None, again: Again = False, detach: Detach = False, quiet: bool = False
) -> dict[str, Any]:
    """Run a spec as a Ray job on a cluster: stream its log, return its answer and its exit code.

    Ctrl-C detaches; the job goes on.
    """
    from ray_pipeline.runtime import jobs
    from ray_pipeline.spec.where import Where

    where = Where.find(on, spec.parent)
    server = jobs.job_server(where)
    job = jobs.submit(spec, where, server=server, sets=sets or (), again=again)
    typer.echo(f"submitted {job.id} to {server.address}", err=True)
    if detach:
        return {"status": "submitted", "job": job.id, "address": server.address}
    try:
        answer = jobs.follow(server, job.id, _nothing if quiet else _to_stderr)
    except KeyboardInterrupt:
        raise _detached(job.id, on) from None
    return _said(answer)


def status(job: JobId, on: Cluster) -> dict[str, Any]:
    """Say how a job stands."""
    found = _server(on).job(job)
    text = f"{found.id} {found.status.lower()}"
    text += f" since {_local(found.started)}" if found.started and not found.has_ended else ""
    text += f" at {_local(found.ended)}" if found.ended else ""
    text += f", exit code {found.exit_code}" if found.exit_code is not None else ""
    typer.echo(text)
    return _as_json(found)


def logs(job: JobId, on: Cluster, follow: Follow = False) -> dict[str, Any]:
    """Print a job's log."""
    server = _server(on)
    if not follow:
        found = server.job(job)
        typer.echo(server.log(job), nl=False)
        return _as_json(found)
    try:
        return _as_json(server.follow(job, typer.echo))
    except KeyboardInterrupt:
        raise _detached(job, on) from None


def stop(job: JobId, on: Cluster) -> dict[str, Any]:
    """Stop a job; the run closes its journal and can be resumed."""
    found = _server(on).stop(job)
    typer.echo(f"{found.id} {found.status.lower()}")
    return _as_json(found)


def _server(on: str) -> Any:
    from ray_pipeline.runtime import jobs
    from ray_pipeline.spec.where import Where

    return jobs.job_server(Where.find(on, Path.cwd()))


def _as_json(job: Any) -> dict[str, Any]:
    return {
        "status": job.status.lower(),
        "exit": 0,
        "job": job.id,
        "job_exit": job.exit_code,
        "started": job.started and job.started.isoformat(),
        "ended": job.ended and job.ended.isoformat(),
        "message": job.message.partition("\n")[0].removesuffix(", last available logs (truncated to 20,000 chars):"),
    }


def _said(answer: dict[str, Any]) -> dict[str, Any]:
    """The run's answer in a line for people; raised as an `Answer` where its exit code is not zero."""
    model = f": {answer['model']}" if answer.get("model") else ""
    typer.echo(f"{answer['job']} {answer['status']}{model}")
    if answer["exit"]:
        raise Answer(answer)
    return answer


def _detached(job_id: str, on: str) -> Interrupted:
    fix = (
        f"follow it again: ray-pipeline logs {job_id} --on {on} --follow; stop it: ray-pipeline stop {job_id} --on {on}"
    )
    error = Interrupted(Problem(found=f"detached; the job {job_id} goes on", fix=fix))
    error.answer = {"job": job_id}
    return error


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


def _nothing(_: str) -> None:
    pass
