"""Workers of a local Ray are forks of one process; where that cannot be, Ray's own command starts them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.runtime import local_ray
from ray_pipeline.runtime.local_ray import SOCKET, WORKER, WORKER_IMPORTS
from ray_pipeline.runtime.watchdog import processes

WORKER_FILE = """
import json, os, sys
from pathlib import Path
from ray import ObjectRef

said = {
    "arguments": sys.argv[1:], "name": __name__, "path": sys.path[0], "folder": os.getcwd(),
    "environment": dict(os.environ), "imported": "xgboost" in sys.modules, "group": os.getpgrp() == os.getpid(),
    "parent": os.getppid(), "id": ObjectRef.from_random().hex(), "pid": os.getpid(),
}
unfinished = Path(sys.argv[1] + ".part")
unfinished.write_text(json.dumps(said))
unfinished.rename(sys.argv[1])
"""
"""Stands for Ray's file for workers: says how it was started."""
SETUP_FILE = """
import runpy, sys

sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Stands for Ray's file that sets up a worker."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a fork server that runs; its socket's path is short."""
    with tempfile.TemporaryDirectory(prefix="rp", dir="/tmp") as short, local_ray._fork_server(Path(short)):
        yield Path(short)


def start_worker(socket: Path, work: Path, *options: str) -> dict[str, Any]:
    """Start a worker as the raylet does, and return what it says."""
    work.mkdir(exist_ok=True)
    (file := work / "default_worker.py").write_text(WORKER_FILE)
    (setup := work / "setup_worker.py").write_text(SETUP_FILE)
    said = work / f"said-{len(list(work.iterdir()))}"
    own = [sys.executable, str(setup), "-S", str(file), str(said), *options]
    command = [sys.executable, "-I", "-S", str(WORKER), str(socket), *own]
    subprocess.run(command, check=True, env={**os.environ, "MINE": "1"}, cwd=work, timeout=60)
    until = time.monotonic() + 30
    while not said.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return dict(json.loads(said.read_text()))


def test_a_fork_runs_as_if_it_had_been_started(folder: Path, tmp_path: Path) -> None:
    said = start_worker(folder / SOCKET, tmp_path / "work", "--node-id=a b", "--language=PYTHON")
    assert said["arguments"][1:] == ["--node-id=a b"] and said["name"] == "__main__"
    assert said["path"] == said["folder"] == str(tmp_path / "work")
    assert said["environment"]["MINE"] == "1" and "PYTHONPATH" not in said["environment"].keys() - os.environ.keys()
    assert said["imported"] and said["group"]


def test_forks_draw_different_ids_of_ray(folder: Path, tmp_path: Path) -> None:
    first, second = (start_worker(folder / SOCKET, tmp_path / "work") for _ in range(2))
    assert first["parent"] == second["parent"] and first["id"] != second["id"]


def test_nothing_is_left_of_a_fork_that_has_ended(folder: Path, tmp_path: Path) -> None:
    said = start_worker(folder / SOCKET, tmp_path / "work")
    until = time.monotonic() + 10
    while said["pid"] in processes() and time.monotonic() < until:
        time.sleep(0.01)
    assert said["pid"] not in processes() and said["parent"] in processes()


def test_a_worker_with_a_runtime_environment_is_started_by_ray(folder: Path, tmp_path: Path) -> None:
    said = start_worker(folder / SOCKET, tmp_path / "work", "--serialized-runtime-env-context={}")
    assert not said["imported"] and said["arguments"][1:] == ["--serialized-runtime-env-context={}"]


def test_a_fork_server_that_is_killed_leaves_the_workers_to_ray(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rp", dir="/tmp") as short, local_ray._fork_server(Path(short)):
        said = start_worker(Path(short, SOCKET), tmp_path / "work")
        assert said["imported"]
        os.kill(said["parent"], signal.SIGKILL)
        assert not start_worker(Path(short, SOCKET), tmp_path / "work")["imported"]


def test_a_fork_server_ends_with_the_process_that_has_started_it(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from ray_pipeline.runtime import local_ray
with local_ray._fork_server(Path({str(tmp_path)!r})):
    print("begun", flush=True)
    time.sleep(600)
"""
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert driver.stdout is not None and driver.stdout.readline() == b"begun\n"
    (server,) = [pid for pid, (parent, _) in processes().items() if parent == driver.pid]
    driver.kill()
    driver.communicate()
    until = time.monotonic() + 30
    while processes().get(server, (0, "Z"))[1] not in "ZX" and time.monotonic() < until:
        time.sleep(0.05)
    assert processes().get(server, (0, "Z"))[1] in "ZX"


def test_a_process_whose_ids_would_repeat_forks_no_workers(tmp_path: Path) -> None:
    (tmp_path / "draws.py").write_text("from ray import ObjectRef\nObjectRef.from_random()\n")
    code = "import socket, sys; from ray_pipeline.runtime.fork_server import main; main(socket.socket(), 'draws')"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", code], env=variables, stdin=subprocess.PIPE) as server:
        assert server.wait(60) == 0  # although its input has not ended


def test_the_module_of_imports_does_not_draw() -> None:
    code = f"""
from importlib import import_module
from ray_pipeline.runtime import private_forks
with private_forks.imports_before_forks():
    import_module({WORKER_IMPORTS!r})
print(private_forks.forks_draw_other_ids())
import ray
ray.remote(type("Actor", (), {{}}))
print(private_forks.forks_draw_other_ids())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "False"]


def test_a_worker_whose_folder_is_gone_is_left_to_ray(folder: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    own = [sys.executable, "-c", "print('own')", "default_worker.py"]
    code = (
        f"import os, runpy, sys; os.rmdir({str(gone)!r}); sys.argv[:] = {[str(WORKER), str(folder / SOCKET), *own]!r}"
    )
    started = [sys.executable, "-c", f"{code}; runpy.run_path({str(WORKER)!r}, run_name='__main__')"]
    done = subprocess.run(started, cwd=gone, capture_output=True, text=True, timeout=60)
    assert done.stdout == "own\n"
