"""Hashes of whole rows, by which equal rows and groups are found without keeping a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.data.rows import LABEL
from ray_pipeline.hashing import hash_rows, mix

HASH_TYPES: dict[str, Any] = {
    "content": np.uint64,
    "labelled": np.uint64,
    "part": np.int8,
    "group": np.uint64,
    "group_part": np.int8,
}
"""The arrays of `RowHashes`, with their types."""


@dataclass(frozen=True, kw_only=True)
class RowHashes:
    """64-bit hashes of n rows and of m groups."""

    content: NDArray[np.uint64]
    """Of the features; shape (n,)."""
    labelled: NDArray[np.uint64]
    """Of the features and the label; shape (n,)."""
    part: NDArray[np.int8]
    """The part of each row; shape (n,)."""
    group: NDArray[np.uint64]
    """Of each group that a row belongs to, once for each block and part; shape (m,)."""
    group_part: NDArray[np.int8]
    """The part of each of these groups; shape (m,)."""
    share: float = 1.0
    """The share of all contents (and of all groups) that is kept, by hash: a sample of contents, not of rows."""

    @classmethod
    def concat(cls, blocks: list["RowHashes"], share: float) -> "RowHashes":
        """The hashes of all blocks, of which each kept this share."""
        arrays = {
            name: np.concatenate([np.zeros(0, type_), *(getattr(block, name) for block in blocks)])
            for name, type_ in HASH_TYPES.items()
        }
        return cls(**arrays, share=share)


def hash_block(
    rows: pa.Table, part: NDArray[np.int8], features: tuple[str, ...], group: str | None, share: float
) -> RowHashes:
    """The hashes of one block.

    Parameters
    ----------
    rows
        Rows with all features, the label, and the group's column if there is one.
    part
        The part of each row; shape (rows,).
    features
        Names of the feature columns.
    group
        The column whose values must stay within one part; None for none.
    share
        The share of all contents to keep, between 0 and 1.
    """
    below = hash_limit(share)
    content, labelled = hash_contents(rows, features)
    kept = content <= below
    pairs = np.zeros((2, 0), np.uint64)
    if group is not None:
        groups = mix(hash_rows(rows.select([group])))
        known = (groups <= below) & pc.is_valid(rows[group]).to_numpy()
        pairs = np.unique(np.stack([groups[known], part[known].astype(np.uint64)]), axis=1)
    return RowHashes(
        content=content[kept],
        labelled=labelled[kept],
        part=part[kept].astype(np.int8),
        group=pairs[0],
        group_part=pairs[1].astype(np.int8),
    )


def hash_contents(rows: pa.Table, features: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The hash of each row's features, and that of its features and label; each of shape (rows,)."""
    content = hash_rows(rows.select(list(features)))
    return content, mix(content ^ hash_rows(rows.select([LABEL])))


def hash_limit(share: float) -> np.uint64:
    """The largest hash of a content that is kept, where this share of all contents is."""
    return np.uint64(min(share, 1.0) * (2**64 - 1025))


def count_each(numbers: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How often each number occurs among the known ones; shape (n,).

    Examples
    --------
    >>> count_each(np.array([2, 5], np.uint64), np.array([2, 3, 2], np.uint64))
    array([2, 0])
    """
    ordered = np.sort(known)
    return np.searchsorted(ordered, numbers, "right") - np.searchsorted(ordered, numbers, "left")


def repeat_share(hashes: NDArray[np.uint64]) -> float:
    """The share of rows that equal another row.

    Examples
    --------
    >>> repeat_share(np.array([7, 8, 7, 9], np.uint64))
    0.5
    """
    if len(hashes) < 2:
        return 0.0
    ordered = np.sort(hashes)
    same = ordered[1:] == ordered[:-1]
    return float((np.append(False, same) | np.append(same, False)).mean())
