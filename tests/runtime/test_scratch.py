"""Arrays and files without names: large ones are no anonymous memory, leave nothing behind, and need no disk."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline.errors import StorageError
from ray_pipeline.runtime import scratch
from ray_pipeline.runtime.scratch import ScratchHashes, parquet_of, scratch_array


def _anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) / 1024


def test_a_large_array_is_no_anonymous_memory_and_leaves_no_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _anonymous_mb()
    array = scratch_array((20_000_000, 2), np.float64)
    array[:] = 1.5
    assert array.shape == (20_000_000, 2) and array[-1].tolist() == [1.5, 1.5]
    assert _anonymous_mb() - before < 20  # of 305
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_leaves_the_array_in_memory(monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "IN_MEMORY", 8)
    monkeypatch.setattr(os, "posix_fallocate", full)
    array = scratch_array((100,), np.float64)
    array[:] = 2.0
    assert array.sum() == 200


def test_pieces_are_one_parquet_file() -> None:
    pieces = [pa.table({"key": range(low, low + 10), "name": ["a", None] * 5}) for low in (0, 10)]
    assert pq.read_table(parquet_of(iter(pieces))) == pa.concat_tables(pieces)


def test_a_file_without_room_says_so(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StorageError, match="No space left on device · Fix: free some space, or set TMPDIR"):
        parquet_of(iter([pa.table({"key": [1]})]))


@pytest.mark.parametrize("held", [0, 10**9], ids=["on disk", "in memory"])
@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_repeated_hashes_are_counted(held: int, at_once: int, monkeypatch) -> None:
    for name, number in (("IN_MEMORY", held), ("HASHES_AT_ONCE", at_once), ("READ_BYTES", 64)):
        monkeypatch.setattr(scratch, name, number)
    rng = np.random.default_rng(at_once)
    drawn = rng.integers(0, 150, 200).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashes = ScratchHashes()
    for block in np.split(drawn, [0, 13, 150]):
        hashes.add(block.tobytes())
    assert hashes.count == 200
    assert hashes.num_repeated() == 200 - len(np.unique(drawn)) > 0
