"""An MLflow server of a test's own on loopback, as a process that can be stopped or killed."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from job_fixture import free_port, wait_until

WITH_US = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
"""Before a server's command: it ends when this process does, however that is."""


SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Without the second one, each server starts eight more processes, whose imports take both cores for a minute."""


@dataclass(frozen=True)
class Server:
    """A server's address and its process, the leader of a group."""

    uri: str
    process: subprocess.Popen[bytes]

    def signal(self, sent: signal.Signals) -> None:
        """Sends a signal to the server and to all that it started."""
        os.killpg(self.process.pid, sent)


def end(server: subprocess.Popen[bytes]) -> None:
    """Ends a server and all that it started."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, sent)
        with suppress(subprocess.TimeoutExpired):
            server.wait(15)


@contextmanager
def mlflow_server(folder: Path, store: str) -> Iterator[str]:
    """The address of a server on a free port."""
    with started_server(folder, store) as server:
        yield server.uri


@contextmanager
def started_server(folder: Path, store: str, port: int | None = None) -> Iterator[Server]:
    """A server on that port, or on a free one; it ends with the block."""
    port = port or free_port()
    command = [
        *WITH_US,
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        store,
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, **SETTINGS},
            start_new_session=True,
        )

    def up() -> bool:
        assert child.poll() is None, (folder / "log").read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
        except OSError:
            return False
        return True

    try:
        wait_until(up, 240, folder / "log")
        yield Server(f"http://127.0.0.1:{port}", child)
    finally:
        end(child)
