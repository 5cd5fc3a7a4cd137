"""Ray's job server over HTTP: every request has a deadline, every refusal its reason. The one module that imports
ray.job_submission."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ray_pipeline.errors import PipelineError, Problem, ResourceError, StorageError, nearest
from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.overrides import environment, log_levels

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

CONNECT_S, READ_S, START_S = 5, 10, 60  # for each request; a job is started only when the head node has an agent for it
SILENCE_S = 10  # a log that says nothing for so long: ask whether the job still runs
LOST_S = 60  # a job server that does not answer for so long is lost
STOP_S = 30  # what a stopped run gets to close its journal; Ray's own 3 s are too few

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
QUIET = {
    f"ray.{name}": logging.WARNING
    for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging")
}


@dataclass(frozen=True)
class Job:
    """What the cluster knows about one job; `status` is Ray's word, `exit_code` the process's own where it ended by
    itself."""

    id: str
    status: str
    exit_code: int | None = None
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED


class JobServer:
    """The job server of one cluster, at `http://host:8265`."""

    def __init__(self, address: str) -> None:
        """Connects, with the environment's token where it says `RAY_AUTH_MODE=token`.

        Raises:
            ResourceError: nobody answers within seconds, the token is missing or wrong, or ray[default] is not
                installed.
        """
        self.address = address.rstrip("/")
        with self._explained():
            self._client = _client(self.address)

    def jobs(self) -> tuple[Job, ...]:
        """Every job that was ever submitted to this cluster."""
        with self._explained():
            return tuple(_job(details) for details in self._client.list_jobs() if details.submission_id)

    def job(self, job_id: str) -> Job:
        """One job as it stands now.

        Raises:
            StorageError: the cluster knows no such job.
        """
        with self._explained(job_id):
            return _job(self._client.get_job_info(job_id))

    def log(self, job_id: str) -> str:
        """What the job has written so far."""
        with self._explained(job_id):
            return str(self._client.get_job_logs(job_id))

    def stop(self, job_id: str) -> Job:
        """Asks the job to stop; it comes back stopped, or as it stands after a minute."""
        with self._explained(job_id):
            self._client.stop_job(job_id)
        deadline = time.monotonic() + 2 * STOP_S
        while not (job := self.job(job_id)).over and time.monotonic() < deadline:
            time.sleep(0.2)
        return job

    def session(self) -> str:
        """The name of the cluster's life from its start to its end; no two clusters share it."""
        with self._explained():
            return private_ray.session_name(self._client)

    def is_here(self) -> bool:
        """Whether the whole cluster is this one machine; a tunnel on 127.0.0.1 does not make it so."""
        deadline = time.monotonic() + READ_S
        with self._explained():
            # A cluster a few seconds old does not know its own hosts yet.
            while not (hosts := private_ray.host_names(self._client)) and time.monotonic() < deadline:
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
        """Starts a shell command on the head node, in a folder that holds `files` and nothing else.

        Raises:
            JobExists: the id is taken, by whoever came first.
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
        """Shows the log from its beginning, line by line and across lost connections, until the job is over."""
        self.job(job_id)
        return asyncio.run(self._follow(job_id, show))

    async def _follow(self, job_id: str, show: Callable[[str], object]) -> Job:
        log, answered = _Log(show), time.monotonic()
        while True:
            whole = False
            log.rewind()
            with suppress(ResourceError, OSError, RuntimeError):  # a lost connection; the job is asked next
                async for text in self._tail(job_id):
                    log.write(text)
                whole = True
            try:
                job, answered = self.job(job_id), time.monotonic()
            except ResourceError as lost:
                if time.monotonic() - answered > LOST_S:
                    fix = (
                        f"the job may go on without us; ask `ray-pipeline status {job_id}` once the cluster answers"
                        " again"
                    )
                    raise ResourceError(
                        Problem(found=f"the job server at {self.address} has not answered for {LOST_S} s", fix=fix)
                    ) from lost
            else:
                if job.over:
                    if not whole:
                        log.rewind()
                        with suppress(PipelineError):
                            log.write(self.log(job_id))
                    log.close()
                    return job
            await asyncio.sleep(1)

    async def _tail(self, job_id: str) -> AsyncIterator[str]:
        """The log from its beginning; ends with the connection, or when the job is over though the connection still
        stands."""
        import aiohttp

        stream = self._client.tail_job_logs(job_id)
        chunk: asyncio.Future[str] | None = None
        try:
            while True:
                chunk = asyncio.ensure_future(anext(stream))
                while not (await asyncio.wait({chunk}, timeout=SILENCE_S))[0]:
                    if self.job(job_id).over:
                        return
                yield chunk.result()
        except StopAsyncIteration:
            return
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        finally:
            if chunk and not chunk.done():
                chunk.cancel()
                await asyncio.wait({chunk})

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
            fix = (
                "set RAY_AUTH_MODE=token and the cluster's own token in RAY_AUTH_TOKEN, or the path of its file in"
                " RAY_AUTH_TOKEN_PATH"
            )
            return ResourceError(
                Problem(
                    found=(
                        f"the job server at {self.address} does not let us in:"
                        f" {text.splitlines()[0].partition('. ')[0]}"
                    ),
                    fix=fix,
                )
            )
        if "status code 404" in text and job_id:
            known = [job.id for job in self.jobs()]
            fix = f"{nearest(job_id, known)}It knows {len(known)} jobs"
            return StorageError(Problem(found=f"the cluster at {self.address} knows no job {job_id!r}", fix=fix))
        if "already exists" in text and job_id:
            return JobExists(
                Problem(found=f"there is a job {job_id!r} already", fix=f"look at it: ray-pipeline status {job_id}")
            )
        if isinstance(error, OSError):  # requests' and aiohttp's own errors among them
            fix = "start the cluster (`ray start --head`), open the tunnel to it, or mend `jobs:` in the cluster file"
            return ResourceError(Problem(found=f"no job server answers at {self.address}: {_last_line(text)}", fix=fix))
        return ResourceError(
            Problem(
                found=f"the job server at {self.address} refuses: {_last_line(text)}",
                fix="look into the dashboard at that address",
            )
        )


class _Log:
    """Shows each line once, though every new connection starts the log again from its beginning."""

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show, self._shown, self._position, self._rest = show, 0, 0, ""

    def rewind(self) -> None:
        self._position = 0

    def write(self, text: str) -> None:
        *lines, self._rest = (self._rest + text[max(0, self._shown - self._position) :]).split("\n")
        self._position += len(text)
        self._shown = max(self._shown, self._position)
        for line in lines:
            self._show(line)

    def close(self) -> None:
        if self._rest:
            self._show(self._rest)


class JobExists(ResourceError):
    """A job of that id was started before."""


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
        return private_ray.job_client(address, {"GET": (CONNECT_S, READ_S), "POST": (CONNECT_S, START_S)})


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
