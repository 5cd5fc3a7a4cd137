"""A local Ray listens on loopback only, keeps its files to itself, and leaves nothing, however its process ends."""

import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from process_fixture import descendants, left_after

from ray_pipeline.runtime import local_ray as module
from ray_pipeline.runtime import local_ray_agent

pytestmark = pytest.mark.ray
GONE_S = 15.0
CODE = """
import ray
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

with session(Where(), store_bytes=100_000_000):
    ray.get(ray.remote(lambda: None).remote())
    print("ready", flush=True)
    input()
"""


@contextmanager
def local_ray(below: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with a local Ray, and Ray's folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
        env={**environment, "RAY_TMPDIR": str(below)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        umask=0o022,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (folder,) = below.iterdir()
        yield process, folder
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a short path, because a socket's path holds 107 bytes."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="rp", dir="/tmp") as folder:
        yield Path(folder)


def test_a_folder_that_takes_long_to_remove_is_no_error(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    monkeypatch.setattr(module, "CLEANED_S", 0.0)
    cleaners, start = list[subprocess.Popen[bytes]](), subprocess.Popen

    def started(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        cleaners.append(start(*arguments, **options))
        return cleaners[-1]

    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(KeyError, match="of the block"), module.private_folder(keep=True) as folder:
        raise KeyError("of the block")
    (cleaner,) = cleaners
    assert folder.is_dir() and cleaner.wait(GONE_S) == 0


def listening(pids: set[int]) -> set[str]:
    """The addresses on which the processes accept connections, as `/proc/net/tcp` writes them."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(str(link.readlink()))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


def test_it_is_open_to_nobody_else(short: Path) -> None:
    with local_ray(short) as (process, folder):
        children = descendants(process.pid)
        addresses = listening({process.pid, *children})
        assert addresses
        assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert any(path.name == "raylet.out" for path in files)
        assert [path for path in files if path.stat().st_mode & 0o077] == []
        (raylet,) = (pid for pid in children if b"/raylet/raylet" in Path(f"/proc/{pid}/cmdline").read_bytes()[:200])
        assert b"RAY_AUTH_MODE=token" in Path(f"/proc/{raylet}/environ").read_bytes().split(b"\0")
        process.communicate("\n", timeout=30)
        assert list(short.iterdir()) == []
        assert left_after(children, 0.0) == []


def test_nothing_is_left_of_it_when_its_process_is_killed(short: Path) -> None:
    with local_ray(short) as (process, _):
        children = descendants(process.pid)
        process.kill()
        assert left_after(children, GONE_S) == []
        assert list(short.iterdir()) == []


ENVIRONMENT = """
import os
import ray
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

with session(Where(), store_bytes=100_000_000):
    task = ray.remote(lambda: os.environ.get("WANTED"))
    print(ray.get([task.options(runtime_env={"env_vars": {"WANTED": value}}).remote() for value in "ab"]))
"""


def test_a_task_of_it_may_have_an_environment_of_its_own(short: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_TMPDIR": str(short)}
    done = subprocess.run([sys.executable, "-c", ENVIRONMENT], env=environment, capture_output=True, text=True)
    assert done.stdout == "['a', 'b']\n", done.stderr
    assert list(short.iterdir()) == []


DROPPED = """
import threading
import time
import ray
from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

with session(Where(), store_bytes=100_000_000):
    references = [ray.put(number) for number in range(2_000)]
    ending = threading.Thread(target=private_ray.shut_down, args=(False,))
    ending.start()
    while references:
        references.pop()
        time.sleep(0.0005)
    ending.join()
print("ended")
"""


def test_references_may_be_dropped_while_it_ends(short: Path) -> None:
    """Ray by itself ends the process then; if this passes without `_Ending`, that can go."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_TMPDIR": str(short)}
    done = subprocess.run([sys.executable, "-c", DROPPED], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


FAILS = """
import ray._private.services
from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime import private_ray
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

def lost(*arguments):
    raise ConnectionError("the node has not started")

private_ray._wait_for_node = lost
try:
    with session(Where(), store_bytes=100_000_000):
        raise AssertionError
except ResourceError as error:
    print(error, flush=True)
input()
"""


def test_nothing_is_left_of_it_when_it_fails_to_start(short: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command, environment = [sys.executable, "-c", FAILS], {**environment, "RAY_TMPDIR": str(short)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "the node has not started" in process.stdout.readline()
        assert list(short.iterdir()) == []  # while the process that has started it still runs
        assert left_after(descendants(process.pid), 0.0) == []
        process.communicate("\n", timeout=30)


def test_the_script_that_stands_for_an_agent_ends_with_its_raylet(tmp_path: Path) -> None:
    agent = [
        sys.executable,
        "-I",
        "-S",
        local_ray_agent.__file__,
        f"--session-dir={tmp_path}",
        "--node-id=7f",
        "--head",
    ]
    raylet = subprocess.Popen(["/bin/sh", "-c", f"{shlex.join(agent)} & read line"], stdin=subprocess.PIPE)
    ports = {f"{name}_7f": "-1" for name in local_ray_agent.UNUSED_PORTS}
    assert _soon(lambda: {path.name: path.read_text() for path in tmp_path.iterdir()} == ports)
    started = descendants(raylet.pid)
    assert len(left_after(started, 0.0)) == 1
    raylet.communicate(b"\n", timeout=30)
    assert left_after(started, GONE_S) == []


def _soon(is_true: Callable[[], bool]) -> bool:
    """Whether it becomes true within seconds."""
    end = time.monotonic() + GONE_S
    while not (true := is_true()) and time.monotonic() < end:
        time.sleep(0.1)
    return true
