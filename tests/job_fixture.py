"""A real cluster for the tests of jobs: `ray start --head` as a child, with ports and a folder of its own."""

import contextlib
import json
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
from typing import Any

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
def head(
    *,
    store_bytes: int = 300_000_000,
    within: Path | None = None,
    cpus: int = 2,
    workers: dict[str, Any] | None = None,
    **environment: str,
) -> Iterator[Cluster]:
    """A cluster of one node, with an object store of that size; its folder lies `within` another one.

    `workers` are the types of nodes that Ray's autoscaler may start: more raylets of this machine.
    """
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
            f"--num-cpus={cpus}",
            f"--object-store-memory={store_bytes}",
            "--include-dashboard=true",
        ]
        if workers is not None:
            command.append(f"--autoscaling-config={_autoscaling(Path(folder), workers, f'127.0.0.1:{port}')}")
            command.append("--node-ip-address=127.0.0.1")
            environment |= {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
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


def _autoscaling(folder: Path, workers: dict[str, Any], gcs: str) -> Path:
    """The file by which an autoscaler starts nodes as `ray.cluster_utils.AutoscalingCluster` does.

    That class itself begins and ends with `ray stop`, which ends the Ray of everybody on the machine.
    """
    head_node = {"resources": {}, "node_config": {}, "max_workers": 0}
    nothing = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    commands = ("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files")
    config = {
        "cluster_name": "fake",
        "max_workers": 8,
        "provider": {"type": "fake_multinode", "gcs_address": gcs},
        "available_node_types": {**workers, "head": head_node},
        "head_node_type": "head",
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 5,
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in (*nothing, *commands, "rsync_exclude", "rsync_filter")},
        "file_mounts_sync_continuously": False,
    }
    file = folder / "autoscaling.json"
    file.write_text(json.dumps(config))
    return file


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
