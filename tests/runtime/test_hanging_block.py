"""Native code hangs on one block of rows: the worker is killed, and another one does the block."""

import ctypes
from pathlib import Path

import pyarrow as pa
import pytest
from run_fixture import Told

from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime import scan, tasks, watchdog
from ray_pipeline.runtime.scan import map_pieces
from ray_pipeline.runtime.session import session
from ray_pipeline.runtime.tasks import arrow_blocks
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]
STALL_S = 3.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOK_EVERY_S", 0.5)


def test_a_block_that_hangs_once_is_done_again(ray_local: None, tmp_path: Path) -> None:
    once, told = tmp_path / "once", Told()

    def double(block: pa.Table) -> pa.Table:
        if block["x"][0].as_py() == 0 and not once.exists():
            once.touch()
            ctypes.PyDLL(None).sleep(3600)  # in C, with Python's lock
        return pa.table({"x": [2 * value for value in block["x"].to_pylist()]})

    tables = [pa.table({"x": list(range(first, first + 10))}) for first in range(0, 40, 10)]
    with told.current(), watchdog.watchdog(STALL_S):
        doubled = map_pieces([lambda table=table: table for table in tables], double, 100)
        found = [value for block in arrow_blocks(doubled) for value in block["x"].to_pylist()]
    assert sorted(found) == list(range(0, 80, 2))
    assert once.exists()
    (note,) = told.notes
    assert note.endswith("no progress for 3s (`stall_after`); its work is done again")


def test_a_block_that_always_hangs_is_given_up(ray_local: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(block: pa.Table) -> pa.Table:
        ctypes.PyDLL(None).sleep(3600)
        return block

    monkeypatch.setattr(scan, "RETRIES", 1)
    told = Told()
    with (
        told.current(),
        pytest.raises(ResourceError, match="every worker that began it has died"),
        session(Where(address="auto", stall_after="10s")),
    ):
        list(arrow_blocks(map_pieces([lambda: pa.table({"x": [1]})], hang, 100)))
    assert len(told.notes) == 2


def test_a_task_that_hangs_once_is_done_again(ray_local: None, tmp_path: Path) -> None:
    import ray

    once, told = tmp_path / "once", Told()

    def double(number: int) -> int:
        if not once.exists():
            once.touch()
            ctypes.PyDLL(None).sleep(3600)
        return 2 * number

    with told.current(), watchdog.watchdog(STALL_S):
        assert ray.get(tasks.task(double, num_cpus=1).remote(21)) == 42
    assert once.exists()
    assert len(told.notes) == 1
