"""The verbs of a run on another machine: submit, status, logs, stop."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ray_pipeline.cli.options import ON_HELP, Sets, SpecFile, where_of
from ray_pipeline.cli.output import Answer
from ray_pipeline.errors import Interrupted, Problem
from ray_pipeline.suggestion import command

if TYPE_CHECKING:
    from ray_pipeline.runtime.job_server import Job, JobServer

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id of a job, which is that of its run.")]
Cluster = Annotated[str, typer.Option("--on", metavar="CLUSTER", help=ON_HELP)]
Again = Annotated[bool, typer.Option("--again", help="Start the run even if the same run is in progress.")]
Detach = Annotated[bool, typer.Option("--detach", help="Return as soon as the cluster has accepted the job.")]
Follow = Annotated[bool, typer.Option("--follow", help="Print new lines until the job ends.")]


def submit(
    spec: SpecFile, on: Cluster, sets: Sets = None, again: Again = False, detach: Detach = False, quiet: bool = False
) -> dict[str, Any]:
    """Run a spec as a Ray job on a cluster.

    Prints the job's log, and ends with the run's answer and exit code. Ctrl-C detaches; the job continues.
    """
    from ray_pipeline.runtime import jobs

    where = where_of(on, spec.parent)
    server = jobs.job_server(where)
    job = jobs.submit(
        spec, where, server=server, sets=sets or (), again=again, note=lambda text: typer.echo(text, err=True)
    )
    typer.echo(f"submitted {job.id} to {server.address}", err=True)
    if detach:
        return {"status": "submitted", "job": job.id, "address": server.address}
    try:
        answer = jobs.follow(server, job.id, lambda line: None if quiet else typer.echo(line, err=True))
    except KeyboardInterrupt:
        raise _detached(job.id, on) from None
    model = f": {answer['model']}" if answer.get("model") else ""
    typer.echo(f"{answer['job']} {answer['status']}{model}")
    if answer["exit"]:
        raise Answer(answer)
    return answer


def status(job: JobId, on: Cluster) -> dict[str, Any]:
    """Show the status of a job."""
    known = _server(on).job(job)
    since = f" since {_local(known.started)}" if known.started and not known.has_ended else ""
    ended = f" at {_local(known.ended)}" if known.ended else ""
    code = f", exit code {known.exit_code}" if known.exit_code is not None else ""
    typer.echo(f"{known.id} {known.status.lower()}{since}{ended}{code}")
    return _as_json(known)


def logs(job: JobId, on: Cluster, follow: Follow = False) -> dict[str, Any]:
    """Print the log of a job."""
    server = _server(on)
    if not follow:
        known = server.job(job)
        typer.echo(server.log(job), nl=False)
        return _as_json(known)
    try:
        return _as_json(server.follow(job, typer.echo))
    except KeyboardInterrupt:
        raise _detached(job, on) from None


def stop(job: JobId, on: Cluster) -> dict[str, Any]:
    """Stop a job. Its run closes its journal and can be resumed."""
    stopped = _server(on).stop(job)
    typer.echo(f"{stopped.id} {stopped.status.lower()}")
    return _as_json(stopped)


def _server(on: str) -> "JobServer":
    from ray_pipeline.runtime.jobs import job_server

    return job_server(where_of(on))


def _as_json(job: "Job") -> dict[str, Any]:
    return {
        "status": job.status.lower(),
        "exit": 0,
        "job": job.id,
        "job_exit": job.exit_code,
        "started": job.started and job.started.isoformat(),
        "ended": job.ended and job.ended.isoformat(),
        "message": job.message.partition("\n")[0].removesuffix(", last available logs (truncated to 20,000 chars):"),
    }


def _detached(job_id: str, on: str) -> Interrupted:
    follow, end = command("logs", job_id, "--follow", on=on), command("stop", job_id, on=on)
    fix = f"follow it again: `{follow}`; stop it: `{end}`"
    error = Interrupted(Problem(found=f"detached; the job {job_id} continues", fix=fix))
    error.answer = {"job": job_id}
    return error


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
