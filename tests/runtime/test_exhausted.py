"""Ray's errors about memory and disk: one message with amounts, however they are wrapped; other errors stay."""

from pathlib import Path

import pytest
from ray.exceptions import OutOfDiskError, OutOfMemoryError

from ray_pipeline.errors import ResourceError, StorageError
from ray_pipeline.runtime import exhausted
from ray_pipeline.runtime.exhausted import explaining_exhaustion

TOLD = """2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 127.0.0.1) was \
4.90GB used / 23.59GB limit (0.207770)
OOM kill reason: Memory usage 5122105344B exceeded threshold of 5103041536B"""


def test_workers_that_were_ended_for_memory_are_an_error_of_resources_with_the_amounts() -> None:
    with pytest.raises(ResourceError) as told, explaining_exhaustion():
        raise RuntimeError("Caught unexpected exception") from OutOfMemoryError(TOLD)
    (problem,) = told.value.problems
    assert problem.found == "Ray has ended workers because a node has little memory left: 4.90 of 23.59 GB were used"
    assert "`concurrent_trials`" in problem.fix and "resume" in problem.fix


def test_a_full_disk_below_a_full_store_is_an_error_of_storage_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhausted.private_ray, "session_folder", lambda: tmp_path)
    full = pytest.raises(StorageError, match="Ray's object store is full, and so is the disk")
    with full as told, explaining_exhaustion():
        raise OutOfDiskError("full")
    assert told.value.problems[0].file == str(tmp_path)


def test_other_errors_stay() -> None:
    with pytest.raises(ValueError, match="own"), explaining_exhaustion():
        raise ValueError("own")
