"""A worker that has been stopped is killed, and no other process is."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ray_pipeline import heartbeat
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


def killed(watchdog: Watchdog) -> list[int]:
    """Look once; the processes that were killed."""
    return list(watchdog.look())


def test_only_a_stopped_worker_of_the_own_job_is_killed(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "STOPPED_S", 3 * watch.LOOK_EVERY_S)
    stopped, busy, another, no_worker = (
        start("ray::train"),
        start("ray::train"),
        start("ray::train", "02000000"),
        start("editor"),
    )
    for process in (stopped, another, no_worker):
        stop(process)
    watchdog = Watchdog([os.getpid()], tmp_path, 600, "01000000")
    assert [killed(watchdog) for _ in range(3)] == [[], [], [stopped.pid]]
    assert stopped.wait(10) == -signal.SIGKILL
    assert [process.poll() for process in (busy, another, no_worker)] == [None] * 3
    of_nobody, of_any_job = Watchdog([1], tmp_path, 600), Watchdog([os.getpid()], tmp_path, 600)
    assert [killed(of_nobody) for _ in range(4)] == [[]] * 4
    # Where Ray is our own, all its workers are.
    assert [killed(of_any_job) for _ in range(3)] == [[], [], [another.pid]]
    assert another.wait(10) == -signal.SIGKILL and [process.poll() for process in (busy, no_worker)] == [None] * 2


def test_a_worker_that_goes_on_in_time_is_left_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "STOPPED_S", 3 * watch.LOOK_EVERY_S)
    process, watchdog = start("ray::train"), Watchdog([os.getpid()], tmp_path, 600)
    for _ in range(3):
        stop(process)
        assert watchdog.look() == watchdog.look() == {}
        process.send_signal(signal.SIGCONT)
        while watch.processes()[process.pid][1] == "T":
            time.sleep(0.01)
        assert watchdog.look() == {}


def test_a_worker_whose_heartbeat_stops_is_killed_and_no_other_is(start: Start, tmp_path: Path) -> None:
    hangs, works, idle, gone = (start("ray::train") for _ in range(4))
    beats = tmp_path / heartbeat.FOLDER
    beats.mkdir()
    for process in (hangs, works, gone):
        (beats / str(process.pid)).touch()
    gone.kill()
    gone.wait()
    watchdog = Watchdog([os.getpid()], tmp_path, 3 * watch.LOOK_EVERY_S)
    assert watchdog.look() == {}
    for count in range(3):
        os.utime(beats / str(works.pid), (0, count))  # the clock of the wall may say what it likes
        found = watchdog.look()
        assert list(found) == [hangs.pid] * (count == 2)
    assert "no progress for 15s (`stall_after`); its work is done again" in found[hangs.pid]
    assert hangs.wait(10) == -signal.SIGKILL
    assert [process.poll() for process in (works, idle)] == [None, None]
    assert not (beats / str(gone.pid)).exists()


def test_work_beats_only_while_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_EVERY_S", 0.0)
    assert heartbeat.beats(tmp_path) == {}
    with heartbeat.heartbeats(tmp_path):
        file = tmp_path / heartbeat.FOLDER / str(os.getpid())
        os.utime(file, (0, 0))
        assert heartbeat.beats(tmp_path) == {os.getpid(): 0}
        heartbeat.beat()
        assert heartbeat.beats(tmp_path)[os.getpid()] > 0
    heartbeat.beat()
    assert heartbeat.beats(tmp_path) == {}
