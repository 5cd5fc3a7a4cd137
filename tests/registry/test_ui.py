"""`ray-pipeline ui`: a clear message if there is no registry, and the real server for a real registry."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.cli import ui as module


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ray_pipeline", "ui", *words]


def test_without_a_registry_it_says_so_and_makes_none(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--json"), cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "MLFLOW_TRACKING_URI": ""}
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == answer["exit"] == 5
    assert "no registry here yet" in answer["problems"][0]["found"]
    assert list(tmp_path.iterdir()) == []


def test_a_server_s_own_pages_are_named(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--registry", "http://127.0.0.1:5999", "--json"), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1])["url"] == "http://127.0.0.1:5999"


def test_a_server_that_does_not_end_after_ctrl_c_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    start, servers, interruptions = subprocess.Popen, list[subprocess.Popen[bytes]](), [KeyboardInterrupt]

    def deaf(*_: Any, **__: Any) -> subprocess.Popen[bytes]:
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
        server = start([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert server.stdout is not None and server.stdout.readline() == b"\n"
        server.stdout.close()
        servers.append(server)
        wait = server.wait

        def interrupted(timeout: float | None = None) -> int:
            if interruptions:
                raise interruptions.pop()
            return wait(timeout)

        monkeypatch.setattr(server, "wait", interrupted)
        return server

    monkeypatch.setattr(module, "_check", lambda _: None)
    monkeypatch.setattr(module, "END_S", 0.1)
    monkeypatch.setattr(subprocess, "Popen", deaf)
    assert module.ui(registry="sqlite:///mlflow.db", port=5998) == {"url": "http://127.0.0.1:5998"}
    assert servers[0].returncode == -signal.SIGKILL


@pytest.mark.long
def test_mlflow_s_pages_are_served_on_loopback_until_ctrl_c(tmp_path: Path) -> None:
    from ray_pipeline.registry import Registry

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    Registry(uri).prepare()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        command("--registry", uri, "--port", str(port), "--json"), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as server:
        deadline, page = time.monotonic() + 240, b""
        while not page and time.monotonic() < deadline:
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
            except OSError:
                time.sleep(0.5)
        server.send_signal(signal.SIGINT)
        out, _ = server.communicate(timeout=120)
    assert b"MLflow" in page
    assert json.loads(out.splitlines()[-1]) == {"status": "done", "exit": 0, "url": f"http://127.0.0.1:{port}"}
