"""What has something for each row lies in files without names: their pages need not stay in memory."""

import mmap
import os
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from ray_pipeline.errors import Problem, StorageError

IN_MEMORY = 64 << 20
"""Bytes of an array that is held in memory."""


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array to be filled.

    A large one is a file in the folder for temporary files, which has no name and goes with the array. Where that
    folder has no room for it, it is held in memory.

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
    with tempfile.TemporaryFile() as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk would end the process when a page is written
        except OSError:
            return np.empty(shape, dtype)
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype).reshape(shape)


def parquet_of(pieces: Iterable[pa.Table]) -> pa.Buffer:
    """Write a table that is made piece by piece as Parquet, and return the content of the file.

    Raises
    ------
    StorageError
        The folder for temporary files has no room.
    """
    writer = None
    try:
        with tempfile.TemporaryFile() as file:
            for piece in pieces:
                writer = writer or pq.ParquetWriter(file, piece.schema)
                writer.write_table(piece)
            assert writer is not None
            writer.close()
            file.flush()
            return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        found = f"cannot write: {error.strerror or error}"
        raise StorageError(
            Problem(file=tempfile.gettempdir(), found=found, fix="free some space, or set TMPDIR to another folder")
        ) from None
