"""A local Ray listens on loopback only, keeps its files to itself, and leaves nothing, however its process ends."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from process_fixture import descendants, left_after

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
