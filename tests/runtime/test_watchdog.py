"""A worker that has been stopped is killed, and no other process is."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from ray_pipeline.runtime import watchdog as watch
from ray_pipeline.runtime.watchdog import Watchdog

Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process under a name; it ends with the test."""
    started: list[subprocess.Popen] = []

    def begin(name: str, job: str = "01000000") -> subprocess.Popen:
        process = subprocess.Popen(["bash", "-c", f"exec -a {name} sleep 600"], env={**os.environ, "RAY_JOB_ID": job})
        started.append(process)
        while not watch.command_of(process.pid).startswith(name.encode()):
            time.sleep(0.01)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGSTOP)
    while watch.processes()[process.pid][1] != "T":
        time.sleep(0.01)


def test_only_a_stopped_worker_of_the_own_job_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "STOPPED_S", 3 * watch.LOOK_EVERY_S)
    stopped, busy, another, no_worker = (
        start("ray::train"),
        start("ray::train"),
        start("ray::train", "02000000"),
        start("editor"),
    )
    for process in (stopped, another, no_worker):
        stop(process)
    watchdog = Watchdog([os.getpid()], "01000000")
    assert [watchdog.look() for _ in range(3)] == [[], [], [stopped.pid]]
    assert stopped.wait(10) == -signal.SIGKILL
    assert [process.poll() for process in (busy, another, no_worker)] == [None] * 3
    of_nobody, of_any_job = Watchdog([1]), Watchdog([os.getpid()])
    assert [of_nobody.look() for _ in range(4)] == [[]] * 4
    assert [of_any_job.look() for _ in range(3)] == [[], [], [another.pid]]  # where Ray is our own, all its workers are
    assert another.wait(10) == -signal.SIGKILL and [process.poll() for process in (busy, no_worker)] == [None] * 2


def test_a_worker_that_goes_on_in_time_is_left_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "STOPPED_S", 3 * watch.LOOK_EVERY_S)
    process, watchdog = start("ray::train"), Watchdog([os.getpid()])
    for _ in range(3):
        stop(process)
        assert watchdog.look() == watchdog.look() == []
        process.send_signal(signal.SIGCONT)
        while watch.processes()[process.pid][1] == "T":
            time.sleep(0.01)
        assert watchdog.look() == []
