"""Ray's job server over HTTP. Every request has a deadline, and every error says what to do.

Only this module and `private_jobs` import `ray.job_submission`.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ray_pipeline.errors import PipelineError, Problem, ResourceError, StorageError, nearest
from ray_pipeline.runtime import private_jobs
from ray_pipeline.runtime.job_log import LineLog, read_until_ended
from ray_pipeline.runtime.overrides import environment, log_levels
from ray_pipeline.runtime.ray_token import FIX, token_for
from ray_pipeline.suggestion import command

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

CONNECT_S, READ_S = 5, 10
START_S = 60
"""Seconds for the request that starts a job: the cluster starts one only when its head node has an agent for it."""
LOST_S = 60
"""A job server that has not answered for so long is lost."""
STOP_S = 30
"""What a run gets to close its journal when it is stopped. Ray's own 3 s are too few."""

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
QUIET = {
    f"ray.{name}": logging.WARNING
    for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging")
}


@dataclass(frozen=True)
class Job:
    """What the cluster knows about a job.

    Attributes
    ----------
    id
        The job's id, which is also the run's.
    status
        Ray's word: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
    exit_code
        Of the job's process, if it has ended by itself.
    message
        What Ray says about the status.
    metadata
        What was given when the job was started.
    started, ended
        In UTC.
    """

    id: str
    status: str
    exit_code: int | None = None
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its status will not change any more."""
        return self.status in ENDED


class JobServer:
    """The job server of one cluster.

    Parameters
    ----------
    address
        `http://host:8265`. Requests carry the token that Ray finds if RAY_AUTH_MODE=token is set, and to a cluster of
        this machine also if RAY_AUTH_MODE is not set, as Ray itself does.
    on
        The `--on` that names the server, for the commands that messages suggest.

    Raises
    ------
    ResourceError
        If the server does not answer in time, if the token is missing or wrong, or if ray[default] is not installed.
    """

    def __init__(self, address: str, on: str | None = None) -> None:
        self.address, self.on = address.rstrip("/"), on
        with self._explained():
            self._client = _client(self.address)

    def jobs(self) -> tuple[Job, ...]:
        """All jobs that were ever submitted to this cluster."""
        with self._explained():
            return tuple(_job(details) for details in self._client.list_jobs() if details.submission_id)

    def job(self, job_id: str) -> Job:
        """The job as it is now.

        Raises
        ------
        StorageError
            If the cluster knows no such job.
        """
        with self._explained(job_id):
            return _job(self._client.get_job_info(job_id))

    def log(self, job_id: str) -> str:
        """What the job has written so far."""
        with self._explained(job_id):
            return str(self._client.get_job_logs(job_id))

    def stop(self, job_id: str) -> Job:
        """Stops the job and waits until it has ended, at most a minute; returns it as it is then."""
        with self._explained(job_id):
            self._client.stop_job(job_id)
        deadline = time.monotonic() + 2 * STOP_S
        while not (job := self.job(job_id)).has_ended and time.monotonic() < deadline:
            time.sleep(0.2)
        return job

    def cluster_id(self) -> str:
        """The name that the cluster got when it started. No two clusters share it."""
        with self._explained():
            return private_jobs.session_name(self._client)

    def is_this_machine(self) -> bool:
        """Whether the whole cluster runs on this machine. (A tunnel at 127.0.0.1 leads elsewhere.)"""
        deadline = time.monotonic() + READ_S
        with self._explained():
            # For its first seconds a cluster does not know its own hosts.
            while not (hosts := private_jobs.host_names(self._client)) and time.monotonic() < deadline:
                time.sleep(0.2)
        return hosts == [socket.gethostname()]

    def start(
        self,
        job_id: str,
        entrypoint: str,
        *,
        files: Mapping[str, bytes],
        environment: Mapping[str, str],
        metadata: Mapping[str, str],
    ) -> Job:
        """Starts a shell command on the head node, in a folder with these files alone.

        Parameters
        ----------
        job_id
            Id of the new job.
        entrypoint
            The shell command.
        files
            Content of each file, by its path in the folder.
        environment
            Environment variables of the command.
        metadata
            What the cluster keeps with the job.

        Raises
        ------
        JobExists
            If another job has the id.
        """
        with self._explained(job_id), TemporaryDirectory(prefix="ray-pipeline-") as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), **environment}
            self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=job_id,
                runtime_env={"working_dir": folder, "env_vars": variables},
                metadata=dict(metadata),
            )
        return self.job(job_id)

    def follow(self, job_id: str, show: Callable[[str], object]) -> Job:
        """Shows the job's log from its beginning until the job has ended, also if connections are lost.

        Parameters
        ----------
        job_id
            Id of the job.
        show
            Is called with each line.

        Raises
        ------
        ResourceError
            If the job server does not answer for `LOST_S` seconds.
        """
        self.job(job_id)
        return asyncio.run(self._follow(job_id, show))

    async def _follow(self, job_id: str, show: Callable[[str], object]) -> Job:
        log, answered = LineLog(show), time.monotonic()
        while True:
            complete = False
            log.rewind()
            with suppress(ResourceError, OSError, RuntimeError):  # a lost connection; the job is asked for next
                stream = self._client.tail_job_logs(job_id)
                async for text in read_until_ended(stream, lambda: self.job(job_id).has_ended):
                    log.write(text)
                complete = True
            try:
                job, answered = self.job(job_id), time.monotonic()
            except ResourceError as lost:
                if time.monotonic() - answered > LOST_S:
                    raise self._lost(job_id) from lost
            else:
                if job.has_ended:
                    if not complete:
                        log.rewind()
                        with suppress(PipelineError):
                            log.write(self.log(job_id))
                    log.close()
                    return job
            await asyncio.sleep(1)

    def _lost(self, job_id: str) -> ResourceError:
        ask = command("status", job_id, on=self.on)
        return ResourceError(
            Problem(
                found=f"the job server at {self.address} has not answered for {LOST_S} s",
                fix=f"the job may still run; ask `{ask}` when the cluster answers again",
            )
        )

    @contextmanager
    def _explained(self, job_id: str | None = None) -> Iterator[None]:
        """Keeps Ray's client silent, and turns what it raises into an error that says what to do."""
        try:
            with log_levels.use(QUIET):
                yield
        except PipelineError:
            raise
        except Exception as error:
            raise self._problem(error, job_id) from error

    def _problem(self, error: Exception, job_id: str | None) -> PipelineError:
        text = str(error).strip()
        if type(error).__name__ == "AuthenticationError":
            reason = text.splitlines()[0].partition(". ")[0]
            return ResourceError(
                Problem(
                    found=f"the job server at {self.address} refuses the login: {reason}",
                    fix=FIX,
                )
            )
        if "status code 404" in text and job_id:
            known = [job.id for job in self.jobs()]
            fix = f"{nearest(job_id, known)}It knows {len(known)} jobs"
            return StorageError(Problem(found=f"the cluster at {self.address} knows no job {job_id!r}", fix=fix))
        if "already exists" in text and job_id:
            fix = f"look at it: `{command('status', job_id, on=self.on)}`"
            return JobExists(Problem(found=f"there is a job {job_id!r} already", fix=fix))
        if isinstance(error, OSError):  # the errors of requests and aiohttp are among them
            fix = (
                "start the cluster (`ray start --head`), open the tunnel to it, or correct `jobs:` in the cluster file"
            )
            return ResourceError(Problem(found=f"no job server answers at {self.address}: {_last_line(text)}", fix=fix))
        return ResourceError(
            Problem(
                found=f"the job server at {self.address} refuses: {_last_line(text)}",
                fix="look at the cluster's dashboard, which is at that address",
            )
        )


class JobExists(ResourceError):
    """Another job has this id."""


def _client(address: str) -> "JobSubmissionClient":
    try:
        import aiohttp  # noqa: F401  what ray[default] adds to ray
        import ray.job_submission  # noqa: F401
    except ImportError as error:
        raise ResourceError(
            Problem(found=f"Ray's job client is not installed: {error}", fix="pip install 'ray-pipeline[jobs]'")
        ) from error

    # Ray prefers these two to the address that it is given (sdk.py:49); here the address counts.
    with environment.use({"RAY_API_SERVER_ADDRESS": None, "RAY_ADDRESS": None}):
        timeouts = {"GET": (CONNECT_S, READ_S), "POST": (CONNECT_S, START_S)}
        return private_jobs.job_client(address, timeouts, token_for(address))


def _job(details: Any) -> Job:
    return Job(
        id=details.submission_id,
        status=details.status.value,
        exit_code=details.driver_exit_code,
        message=details.message or "",
        metadata=details.metadata or {},
        started=_moment(details.start_time),
        ended=_moment(details.end_time),
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _last_line(text: str) -> str:
    return (text.splitlines() or ["no reason given"])[-1]
