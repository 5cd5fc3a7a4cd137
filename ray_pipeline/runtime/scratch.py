"""What has something for each row lies in files without names: their pages need not stay in memory."""

import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.hashing import distinct

IN_MEMORY = 64 << 20
"""Bytes that are held in memory whatever they are."""
HASHES_AT_ONCE, READ_BYTES = 4_000_000, 8 << 20


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array to be filled.

    A large one is a file in the folder for temporary files, which has no name and goes with the array. Where that
    folder has no room for it, it is held in memory; so it is where that folder is one (tmpfs).

    Parameters
    ----------
    shape
        The shape.
    dtype
        The type of its values.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY or np.dtype(dtype).hasobject:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            # macOS has no such call. Without room for all pages, the process would end when one is written.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.frombuffer(mmap.mmap(file.fileno(), size), dtype).reshape(shape)
    except (AttributeError, OSError):
        return np.empty(shape, dtype)


class ScratchHashes:
    """64-bit hashes that are added block by block; many of them lie in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it goes with this object
        weakref.finalize(self, self._file.close)
        self.count = 0

    def add(self, hashes: bytes) -> None:
        """Add hashes, 8 bytes each.

        Raises
        ------
        StorageError
            The folder for temporary files has no room.
        """
        with _explained():
            self._file.write(hashes)
        self.count += len(hashes) // 8

    def num_repeated(self) -> int:
        """Count the hashes that equal an earlier one; some of them at a time are sorted."""
        buckets = max(1, -(-self.count // HASHES_AT_ONCE))
        return self.count - sum(len(distinct(some)) for some in in_buckets(self._with_bucket, buckets, np.uint64))

    def _with_bucket(self, buckets: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.intp]]]:
        self._file.seek(0)
        while len(block := np.frombuffer(self._file.read(READ_BYTES), np.uint64)):
            yield block, (block % np.uint64(buckets)).astype(np.intp)


def in_buckets(
    blocks: Callable[[int], Iterable[tuple[NDArray[Any], NDArray[np.intp]]]], buckets: int, dtype: DTypeLike
) -> list[NDArray[Any]]:
    """Return values by their bucket, in the order in which they come.

    Parameters
    ----------
    blocks
        Yields values, and the bucket of each, for so many buckets; called twice.
    buckets
        The number of buckets.
    dtype
        The type of the values.
    """
    sizes = np.zeros(buckets, np.intp)
    for _, bucket in blocks(buckets):
        sizes += np.bincount(bucket, minlength=buckets)
    ends = np.cumsum(sizes)
    ordered, at = scratch_array((int(ends[-1]),), dtype), ends - sizes
    for values, bucket in blocks(buckets):
        counts = np.bincount(bucket, minlength=buckets)
        runs = np.split(values[np.argsort(bucket, kind="stable")], np.cumsum(counts)[:-1])
        for number, run in enumerate(runs):
            ordered[at[number] : at[number] + len(run)] = run
        at += counts
    return np.split(ordered, ends[:-1])


def parquet_of(pieces: Iterable[pa.Table]) -> pa.Buffer:
    """Write a table that is made piece by piece as Parquet, and return the content of the file.

    Raises
    ------
    StorageError
        The folder for temporary files has no room.
    """
    writer = None
    with _explained(), tempfile.TemporaryFile() as file:
        for piece in pieces:
            writer = writer or pq.ParquetWriter(file, piece.schema)
            writer.write_table(piece)
        assert writer is not None
        writer.close()
        file.flush()
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def _explained() -> Iterator[None]:
    """In the block, a file without a name is written, and no other one is opened."""
    try:
        yield
    except OSError as error:
        found = f"cannot write: {error.strerror or error}"
        raise StorageError(
            Problem(file=tempfile.gettempdir(), found=found, fix="free some space, or set TMPDIR to another folder")
        ) from None
