"""Encoded rows as Arrow blocks: the rows of a block are ordered by part, so a part is a view and never a copy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.values import PARTS, Matrix, Part, Vector

MATRIX, LABEL, WEIGHT, KEY, PART, CLUSTER, SLICE = "matrix:", "label", "weight", "key", "part", "cluster", "slice:"
TIME, GROUP = "time", "group"
"""Microseconds since 1970 (UTC), int64, where the label table has a time; the hash of the split's group, if it is not
the cluster."""
JOIN = "+"
"""Between the words of encoders whose matrices stand side by side."""


@dataclass(frozen=True, kw_only=True)
class EncodedBlock:
    """The rows of one part in one block; all arrays are views of the block."""

    matrix: Matrix
    """Shape (rows, columns), float32."""
    label: Vector
    """Shape (rows,)."""
    weight: Vector
    """Shape (rows,)."""
    rows: pa.Table
    """The rows with key, cluster and slice columns."""


def pack(matrices: Mapping[str, Matrix], columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """One block of encoded rows.

    Parameters
    ----------
    matrices
        A matrix for each encoder, by its word; each of shape (rows, columns of the encoder), float32.
    columns
        All other columns; each of shape (rows,).
    """
    return pa.table({**{MATRIX + word: as_column(matrix) for word, matrix in matrices.items()}, **columns})


def by_part(blocks: Sequence[pa.Table]) -> pa.Table:
    """One block of several that are each ordered by part."""
    if len(blocks) == 1:
        return blocks[0]
    places = [np.searchsorted(block[PART].to_numpy(), range(len(PARTS) + 1)) for block in blocks]
    pieces = [
        block.slice(place[code], place[code + 1] - place[code])
        for code in range(len(PARTS))
        for block, place in zip(blocks, places, strict=True)
    ]
    return pa.concat_tables(pieces).unify_dictionaries().combine_chunks()


def views(blocks: Iterable[pa.Table], encoder: str, *parts: Part) -> Iterator[EncodedBlock]:
    """The rows of some parts, block by block in order; empty views are left out.

    Parameters
    ----------
    blocks
        Blocks that `pack` made, each ordered by part.
    encoder
        The word of the encoder whose matrix is taken.
    parts
        The parts to take.
    """
    codes = [PARTS.index(part) for part in parts]
    for block in blocks:
        part = block[PART].to_numpy()
        for code in codes:
            start, stop = np.searchsorted(part, [code, code + 1])
            if stop > start:
                yield view(block.slice(start, stop - start), encoder)


def view(rows: pa.Table, encoder: str) -> EncodedBlock:
    """The rows as numpy arrays, with the matrix of that encoder; no copy is made of a table of one chunk.

    The matrices of several encoders, with `+` between their words, stand side by side.
    """
    label, weight = rows[LABEL].to_numpy(), rows[WEIGHT].to_numpy()
    matrices = [as_array(rows[MATRIX + word]) for word in encoder.split(JOIN)]
    matrix = matrices[0] if len(matrices) == 1 else np.hstack(matrices)
    return EncodedBlock(matrix=matrix, label=label, weight=weight, rows=rows)


def column(blocks: Sequence[EncodedBlock], name: str) -> NDArray[Any]:
    """One column of many blocks, concatenated; shape (rows of all blocks,). Texts are str objects."""
    arrays = [block.rows[name] for block in blocks]
    if pa.types.is_dictionary(arrays[0].type):
        return texts(pa.chunked_array([chunk for array in arrays for chunk in array.chunks], arrays[0].type))
    return np.concatenate([array.to_numpy() for array in arrays])


def texts(column: pa.ChunkedArray) -> NDArray[Any]:
    """The values of a dictionary as str objects, shape (n,): rows of one value share one object.

    `to_numpy` makes an object for each row, which takes 66 bytes and not 8.
    """
    column = column.unify_dictionaries()
    values = np.array(column.chunk(0).dictionary.to_pylist() if column.num_chunks else [], object)
    places = [chunk.indices.to_numpy() for chunk in column.chunks]
    return np.asarray(values[np.concatenate(places)]) if places else values


def as_column(array: NDArray[Any]) -> pa.Array:
    """Numbers of shape (n,) or (n, k) as a column: of numbers, or of lists of k numbers."""
    return pa.array(array) if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(array.reshape(-1), array.shape[1])


def as_array(column: pa.ChunkedArray) -> NDArray[Any]:
    """The numbers that `as_column` put into a column; a view if it has one chunk."""
    if not pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.to_numpy())
    width = column.type.list_size
    matrices = [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, width) for chunk in column.chunks]
    return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
