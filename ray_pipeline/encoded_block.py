"""Encoded rows as Arrow blocks: each block's rows ordered by part, so that a part is a view and never a copy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.values import PARTS, Matrix, Part, Vector

MATRIX, LABEL, WEIGHT, KEY, PART, CLUSTER, SLICE = "matrix:", "label", "weight", "key", "part", "cluster", "slice:"


@dataclass(frozen=True, kw_only=True)
class EncodedBlock:
    """Rows of one part out of one block: `matrix` (n, columns) float32 and `label`, `weight` (n,), all views of the
    block."""

    matrix: Matrix
    label: Vector
    weight: Vector
    rows: pa.Table
    """The rows with key, cluster and slice columns."""


def pack(matrices: Mapping[str, Matrix], columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """One block of encoded rows; a matrix for each encoder, by its word."""
    held = {
        MATRIX + encoder: pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
        for encoder, matrix in matrices.items()
    }
    return pa.table({**held, **columns})


def views(blocks: Iterable[pa.Table], encoder: str, *parts: Part) -> Iterator[EncodedBlock]:
    """The rows of those parts as that encoder made them, block by block, in order; empty views are left out."""
    codes = [PARTS.index(part) for part in parts]
    for block in blocks:
        part = block[PART].to_numpy()
        for code in codes:
            start, stop = np.searchsorted(part, [code, code + 1])
            if stop > start:
                yield view(block.slice(start, stop - start), encoder)


def view(rows: pa.Table, encoder: str) -> EncodedBlock:
    """The rows as numpy arrays, with the matrix of that encoder; no copy is made of a table of one chunk."""
    label, weight = rows[LABEL].to_numpy(), rows[WEIGHT].to_numpy()
    return EncodedBlock(matrix=_matrix(rows, MATRIX + encoder), label=label, weight=weight, rows=rows)


def column(blocks: Sequence[EncodedBlock], name: str) -> NDArray[Any]:
    """One column of many blocks, concatenated; strings as str objects."""
    arrays = [block.rows[name] for block in blocks]
    if pa.types.is_dictionary(arrays[0].type):
        arrays = [array.cast(pa.string()) for array in arrays]
    return np.concatenate([array.to_numpy() for array in arrays])


def _matrix(rows: pa.Table, name: str) -> Matrix:
    chunks = rows[name].chunks
    width = rows.schema.field(name).type.list_size
    matrices = [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, width) for chunk in chunks]
    return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
