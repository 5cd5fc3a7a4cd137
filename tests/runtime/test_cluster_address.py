"""An address where no cluster answers is told apart in seconds, whatever listens there."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from job_fixture import free_port
from tables import write_spec

from ray_pipeline.runtime import cluster_address
from ray_pipeline.runtime.cluster_address import silence


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address where connections are accepted and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_nobody_listens() -> None:
    assert silence(f"127.0.0.1:{free_port()}") == "Connection refused"


def test_there_is_no_such_host() -> None:
    assert silence("no-such-host.invalid:6379")


def test_what_listens_never_answers(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_address, "ANSWER_S", 0.2)
    assert silence(deaf) == "nothing answers within 5 s"


def test_what_listens_is_another_server() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert silence(f"127.0.0.1:{server.server_port}") == "what listens there is no Ray"
        server.shutdown()


def test_a_cluster_answers(ray_local: None) -> None:
    import ray

    assert silence(ray.get_runtime_context().gcs_address) is None


@pytest.mark.parametrize("listening", [False, True], ids=["nobody listens", "it never answers"])
def test_a_run_on_a_cluster_that_has_gone_ends_in_seconds_with_a_message(
    listening: bool, deaf: str, loans: Path, tmp_path: Path
) -> None:
    address = deaf if listening else f"127.0.0.1:{free_port()}"
    (tmp_path / "data").symlink_to(loans / "data")
    (tmp_path / "there.yaml").write_text(f"address: {address}\n")
    write_spec(tmp_path)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ray_pipeline", "run", "loans.yaml", "--on", "there.yaml", "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    took = time.monotonic() - began
    answer = json.loads(done.stdout.splitlines()[-1])
    (problem,) = answer["problems"]
    assert (done.returncode, answer["exit"], problem["key"]) == (4, 4, "address"), done.stderr
    assert f"no Ray cluster answers at '{address}" in problem["found"]
    assert took < 40, "a limit against Ray's own wait of minutes; alone on the machine it takes 4 to 9 s"
