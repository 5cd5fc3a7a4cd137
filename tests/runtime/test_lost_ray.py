"""The guard of Ray's servers, with plain processes in their place: it interrupts, explains, and is still at the end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime import lost_ray, private_ray
from ray_pipeline.runtime.lost_ray import RayGuard, last_words


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process uses Ray."""
    monkeypatch.setattr(lost_ray, "_is_used", lambda: True)


@pytest.fixture
def new_guard() -> Iterator[Callable[[], RayGuard]]:
    """Makes guards, and closes them: one that is not closed ends the process of whoever answers next."""
    with ExitStack() as guards:

        def new() -> RayGuard:
            guard = RayGuard()
            guards.callback(guard.close)
            return guard

        yield new


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A child that stands for the GCS."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(lost_ray, "_started_servers", lambda: {process.pid: "GCS"})
        monkeypatch.setattr(lost_ray, "LOOK_EVERY_S", 0.05)
        yield process
        process.kill()


def test_a_block_that_waits_is_interrupted_and_says_what_has_died(
    server: subprocess.Popen[bytes], new_guard: Callable[[], RayGuard]
) -> None:
    guard = new_guard()
    with pytest.raises(ResourceError) as told, guard.explaining():
        server.kill()
        threading.Event().wait(30)
    (problem,) = told.value.problems
    assert problem.found == f"Ray's own GCS (process {server.pid}) has died"
    assert "ray-pipeline resume" in problem.fix


def test_an_error_that_a_dead_server_has_caused_names_the_server(
    server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, new_guard: Callable[[], RayGuard]
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(lost_ray, "_wait_for_end", lambda *_: ended.wait(60))
    guard = new_guard()
    with pytest.raises(ResourceError, match="GCS") as told, guard.explaining():
        server.kill()
        while server.pid in lost_ray.processes() and lost_ray.processes()[server.pid][1] != "Z":
            time.sleep(0.01)
        raise ValueError("no CPUs")
    ended.set()
    assert isinstance(told.value.__cause__, ValueError)


def test_other_errors_stay_and_nobody_is_interrupted_after_the_end(
    server: subprocess.Popen[bytes], new_guard: Callable[[], RayGuard]
) -> None:
    guard = new_guard()
    with pytest.raises(ValueError, match="own"), guard.explaining():
        raise ValueError("own")
    guard = new_guard()
    with pytest.raises(ValueError, match="later"), guard.explaining():
        guard.stop()
        server.kill()
        time.sleep(0.3)
        raise ValueError("later")


def test_if_the_interrupt_has_no_effect_somebody_else_answers(
    server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, new_guard: Callable[[], RayGuard]
) -> None:
    monkeypatch.setattr(lost_ray, "STUCK_S", 0.1)
    monkeypatch.setattr("signal.pthread_kill", lambda *_: None)
    told = threading.Event()
    last_words.append(lambda error: told.set() if "GCS" in str(error) else None)
    new_guard()
    try:
        server.kill()
        assert told.wait(20)
    finally:
        last_words.pop()


def test_where_the_raylet_has_died_somebody_else_answers_at_once(
    server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, new_guard: Callable[[], RayGuard]
) -> None:
    """Ray ends the process without a word when it next uses the object store."""
    monkeypatch.setattr(lost_ray, "_started_servers", lambda: {server.pid: "raylet"})
    monkeypatch.setattr(lost_ray, "LOOK_EVERY_S", 3600.0)
    monkeypatch.setattr("signal.pthread_kill", lambda *_: None)
    told = threading.Event()
    last_words.append(lambda error: told.set() if "raylet" in str(error) else None)
    new_guard()
    try:
        server.kill()
        assert told.wait(20)
    finally:
        last_words.pop()


def test_a_head_is_lost_only_after_a_while(monkeypatch: pytest.MonkeyPatch, new_guard: Callable[[], RayGuard]) -> None:
    monkeypatch.setattr(lost_ray, "_started_servers", dict)
    monkeypatch.setattr(lost_ray, "_head", lambda: "127.0.0.1:1")
    monkeypatch.setattr(lost_ray, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(lost_ray, "SILENT_S", 0.5)
    began = time.monotonic()
    with pytest.raises(ResourceError, match="the head of the cluster"), new_guard().explaining():
        threading.Event().wait(30)
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    ("command", "name"),
    [(b"/x/gcs/gcs_server", "GCS"), (b"/x/raylet/raylet", "raylet"), (b"ray::IDLE", None), (b"", None)],
)
def test_a_server_is_known_by_its_command(command: bytes, name: str | None) -> None:
    assert private_ray.server_name(command) == name


def test_a_server_that_ends_with_the_use_of_ray_is_not_lost(
    server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, new_guard: Callable[[], RayGuard]
) -> None:
    """The user's own `ray.shutdown` within a block ends the servers."""
    monkeypatch.setattr(lost_ray, "_is_used", lambda: False)
    with new_guard().explaining():
        server.kill()
        assert not threading.Event().wait(0.5)


@pytest.mark.parametrize(("raylets", "watched"), [(1, {"GCS", "raylet"}), (3, {"GCS"})])
def test_a_raylet_among_several_is_a_node_that_a_run_can_lose(
    raylets: int, watched: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = {1: b"/ray/gcs_server", **{2 + node: b"/ray/raylet" for node in range(raylets)}}
    monkeypatch.setattr(lost_ray, "processes", lambda: {pid: (os.getpid(), "S") for pid in commands} | {9: (1, "S")})
    monkeypatch.setattr(lost_ray, "command_of", lambda pid: commands[pid])
    assert set(lost_ray._started_servers().values()) == watched
