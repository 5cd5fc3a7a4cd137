"""A real cluster for the tests of jobs: `ray start --head` as a child, with ports and a folder of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from process_fixture import descendants


@dataclass(frozen=True)
class Cluster:
    """A head node of `ray start`, the environment of those who may talk to it, its GCS, and the folder of its logs."""

    url: str
    address: str
    environment: dict[str, str]
    folder: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def head(*, store_bytes: int = 300_000_000, within: Path | None = None, **environment: str) -> Iterator[Cluster]:
    """A cluster of one node, with an object store of that size; its folder lies `within` another one."""
    port, dashboard, agent, client = (free_port() for _ in range(4))
    # Not tmp_path: Ray's sockets lie below, and a socket's path holds 107 bytes.
    with tempfile.TemporaryDirectory(prefix="rp", dir=within, ignore_cleanup_errors=True) as folder:
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--head",
            "--block",
            f"--temp-dir={folder}",
            "--disable-usage-stats",
        ]
        command += [
            f"--port={port}",
            f"--dashboard-port={dashboard}",
            f"--dashboard-agent-listen-port={agent}",
            f"--ray-client-server-port={client}",
        ]
        command += [
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--num-cpus=2",
            f"--object-store-memory={store_bytes}",
            "--include-dashboard=true",
        ]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        everything = inherited | environment
        with Path(folder, "start.log").open("wb") as log:
            process = subprocess.Popen(command, env=everything, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{dashboard}/api/version"), 90, Path(folder, "start.log"))
            yield Cluster(f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{port}", everything, Path(folder))
        finally:
            # A started `ray start --block` takes 10 s and more to end its children one after the other.
            for pid in [*descendants(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2)
    except urllib.error.HTTPError:
        return True  # 401 is an answer
    except OSError:
        return False
    return True


def wait_until(true: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, log.read_text()[-3000:] if log else "waited in vain"
        time.sleep(0.2)
