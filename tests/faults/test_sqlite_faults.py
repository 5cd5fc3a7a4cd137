"""Another program locks the sqlite file of the registry, or the file is damaged at a random place."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from bundle_fixture import Trained, train
from registry_fixture import add

from ray_pipeline.errors import RegistryError
from ray_pipeline.registry import Registry, publish

REFUSED_S = 90.0
"""The longest time to the message: MLflow waits 20 s for a lock, and tries some calls again."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of an empty registry."""
    Registry(f"sqlite:///{tmp_path}/mlflow.db").prepare()
    return tmp_path / "mlflow.db"


def hold(file: Path, free: threading.Event, seconds: float, held: threading.Event | None = None) -> None:
    """Locks the file as another program does, until the event or for so many seconds."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        if held:
            held.set()
        free.wait(seconds)
        holder.execute("ROLLBACK")


@contextmanager
def locked_now_and_then(file: Path, draw: random.Random) -> Iterator[list[float]]:
    """In the block, another program locks the file again and again, for the first time before the block begins.

    Yields for how long each time.
    """
    ended, held, locked = threading.Event(), threading.Event(), list[float]()

    def work() -> None:
        while not ended.is_set():
            locked.append(draw.uniform(0.2, 3))
            hold(file, ended, locked[-1], held)
            ended.wait(draw.random())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    held.wait(60)
    try:
        yield locked
    finally:
        ended.set()
        thread.join(60)


def versions(file: Path) -> list[Any]:
    (model,) = Registry(f"sqlite:///{file}").list()
    return [(version["version"], version["status"]) for version in model["versions"]]


@pytest.mark.slow
def test_a_lock_now_and_then_during_a_registration_is_waited_for(fault_seed: int, trained: Trained, file: Path) -> None:
    with locked_now_and_then(file, random.Random(f"lock {fault_seed}")) as locked:
        assert add(Registry(f"sqlite:///{file}"), trained, "run-1") == 1
    assert locked
    assert versions(file) == [(1, "registered")]


@pytest.mark.slow
def test_a_lock_of_half_a_minute_before_a_registration_is_waited_for(trained: Trained, file: Path) -> None:
    held, free = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(file, free, 30.0, held), daemon=True)
    thread.start()
    held.wait(60)
    assert add(Registry(f"sqlite:///{file}"), trained, "run-1") == 1
    thread.join()


@pytest.mark.long
def test_a_lock_that_stays_during_a_registration_is_named_and_the_same_call_goes_on(
    trained: Trained, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, free, create = threading.Event(), threading.Event(), publish._create_version

    def locked(*arguments: Any) -> Any:
        threading.Thread(target=hold, args=(file, free, 600.0, held), daemon=True).start()
        held.wait(60)
        return create(*arguments)

    began = time.monotonic()
    with monkeypatch.context() as patch, pytest.raises(RegistryError, match="locked") as told:
        patch.setattr(publish, "_create_version", locked)
        add(Registry(f"sqlite:///{file}"), trained, "run-1")
    assert time.monotonic() - began < REFUSED_S
    assert told.value.exit_code == 5
    free.set()
    assert add(Registry(f"sqlite:///{file}"), trained, "run-1") == 1
    assert versions(file) == [(1, "registered")]


def test_a_damage_at_any_place_is_refused_and_the_file_left_alone(fault_seed: int, file: Path) -> None:
    draw, content = random.Random(f"damage {fault_seed}"), file.read_bytes()
    page = int.from_bytes(content[16:18]) or 65536  # where SQLite's format has the size of a page
    for turn in range(20):
        cut, place = draw.randrange(1, len(content)), draw.randrange(len(content) // page) * page
        overwritten = content[:place] + draw.randbytes(page) + content[place + page :]
        damaged = content[:cut] if turn % 2 else overwritten
        file.write_bytes(damaged)
        with pytest.raises(RegistryError, match=r"is damaged|cannot be used") as told:
            Registry(f"sqlite:///{file}").prepare()
        assert (told.value.exit_code, told.value.problems[0].file) == (5, str(file)), (cut, place)
        assert file.read_bytes() == damaged
