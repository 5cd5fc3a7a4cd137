"""The registry in a process of its own gives the same answers and the same errors, and ends with the run."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

import pytest
from bundle_fixture import Trained
from process_fixture import descendants, left_after
from registry_fixture import NAME, add, model_folder

from ray_pipeline.bundle_files import check_files
from ray_pipeline.errors import RegistryError
from ray_pipeline.registry import Registry
from ray_pipeline.registry.own_process import _answer, in_own_process


@pytest.fixture
def elsewhere(registry: Registry) -> Iterator[Registry]:
    with in_own_process(registry) as other:
        yield other


def children() -> set[int]:
    return set(descendants(os.getpid()))


def test_a_version_is_registered_there_and_read_here(elsewhere: Registry, registry: Registry, trained: Trained) -> None:
    elsewhere.prepare()
    assert elsewhere.champion(NAME) is None
    assert add(elsewhere, trained, "run-1", alias="champion") == 1
    assert add(elsewhere, trained, "run-1", alias="champion") == 1  # a run registers once
    version, folder = elsewhere.champion(NAME) or (0, Path())
    assert version == 1 and check_files(folder) == check_files(registry.fetch(f"{NAME}/1"))
    assert model_folder(registry, f"{NAME}/1").is_dir()
    assert add(elsewhere, trained, "run-2") == 2
    move = elsewhere.promote(f"{NAME}/2", reason="better than version 1")
    assert (move["action"], move["from"], move["to"], move["why"]) == ("promote", 1, 2, "better than version 1")
    assert elsewhere.promote(f"{NAME}/2")["action"] == "none"
    assert registry.show(f"{NAME}@champion")["journal"][-1] == move


def test_an_error_there_is_raised_here_with_its_problem(elsewhere: Registry, trained: Trained) -> None:
    elsewhere.prepare()
    wrong = trained.bundle.score(trained.rows) + 1.0
    with pytest.raises(RegistryError, match="stored rows differently") as raised:
        add(elsewhere, trained, "run-1", scores=wrong)
    assert raised.value.problems[0].stage == "verify"
    assert add(elsewhere, trained, "run-2") == 2  # and the process answers on


def test_a_registry_that_cannot_be_sent_leaves_no_process(registry: Registry) -> None:
    @dataclass(frozen=True)
    class Unsendable(Registry):
        def __reduce__(self) -> tuple[object, ...]:
            raise TypeError("no")

    before = children()
    with pytest.raises(TypeError, match="no"), in_own_process(Unsendable(registry.uri)):
        pass
    assert children() <= before


def test_a_result_that_cannot_be_sent_is_named(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "champion", lambda *_: threading.Lock())
    ours, theirs = Pipe()
    _answer(theirs, registry, "champion", (NAME,), {})
    error, result = ours.recv()
    assert result is None and str(error) == "TypeError: cannot pickle '_thread.lock' object"


def test_a_process_that_dies_is_a_registry_that_does_not_answer(registry: Registry, trained: Trained) -> None:
    before = children()
    with in_own_process(registry) as elsewhere:
        (process,) = children() - before
        os.kill(process, signal.SIGKILL)
        with pytest.raises(RegistryError, match=r"the process that talks to sqlite.* has ended"):
            add(elsewhere, trained, "run-1")


def test_a_thread_that_still_waits_for_an_answer_does_not_hold_up_the_end(registry: Registry) -> None:
    before = children()
    with in_own_process(registry) as elsewhere:
        known = descendants(os.getpid())

        def prepare() -> None:
            with suppress(RegistryError):
                elsewhere.prepare()

        threading.Thread(target=prepare, daemon=True).start()
    assert children() <= before
    assert left_after({pid: known[pid] for pid in known.keys() - before}, within=2.0) == []


def test_a_process_that_is_killed_while_it_makes_the_tables_leaves_none(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    registry = Registry(f"sqlite:///{file}")
    new = file.with_name("mlflow.db.new")
    with in_own_process(registry) as elsewhere:

        def prepare() -> None:
            with suppress(RegistryError):
                elsewhere.prepare()

        threading.Thread(target=prepare, daemon=True).start()
        until = time.monotonic() + 60
        while not (new.exists() and new.stat().st_size > 0) and time.monotonic() < until:
            time.sleep(0.002)
        assert new.stat().st_size > 0 and file.stat().st_size == 0  # the block ends while tables are made
    assert file.stat().st_size == 0
    registry.prepare()
    assert registry.list() == [] and not new.exists()
    with closing(sqlite3.connect(file)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE name LIKE '_alembic_tmp%'").fetchall()
    assert tables == []


OWNER = """
import os, sys
sys.path[:] = sys.argv[2:]
from ray_pipeline.registry import Registry
from ray_pipeline.registry.own_process import in_own_process
with in_own_process(Registry(f"sqlite:///{sys.argv[1]}/mlflow.db")):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_it_ends_when_its_run_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path), *sys.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
        known = descendants(owner.pid)
        assert len(known) == 1
        owner.kill()
    assert left_after(known, within=10.0) == []
