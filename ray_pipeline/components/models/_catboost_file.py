"""Check CatBoost's file before CatBoost reads it: CatBoost follows the numbers of splits, leaves and tables blindly.

The numbers of fields are those of CatBoost's schema (`catboost/libs/model/flatbuffers/*.fbs`).
A file that passes has columns as this package trains on them: numbers first, then categories, and no other kind.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.models._catboost import import_catboost
from ray_pipeline.components.models._file_checks import require
from ray_pipeline.components.models._flatbuffer import Table

if TYPE_CHECKING:
    import catboost

Numbers = NDArray[np.int64]
MAGIC = b"CBM1"
MAX_DEPTH, MAX_BORDERS = 16, 254
"""The deepest symmetric tree; the most borders of a feature that are in one byte of a row."""
BORDERS, BUCKETS, BINARIZED_MEAN, FLOAT_MEAN, COUNTER, FREQUENCY = range(6)
"""How a category is encoded by the labels of rows."""
STEP, REPACKED = [("left", "<u2"), ("right", "<u2")], [("feature", "<u2"), ("mask", "u1"), ("split", "u1")]
FLOAT_SPLIT, WORD_SPLIT = [("index", "<i4"), ("border", "<f4")], [("index", "<i4"), ("value", "<i4")]
BUCKET = [("hash", "<u8"), ("row", "<u4")]
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The hash of a bucket that holds nothing; a search for an unknown category ends there."""


def read_model(file: Path) -> "catboost.CatBoost":
    """Return the model in a file that may come from somebody else.

    Raises
    ------
    ValueError
        As `check_file`.
    """
    content = file.read_bytes()
    check_file(content)
    return import_catboost().CatBoost().load_model(blob=content)


def check_file(content: bytes) -> None:
    """Return if CatBoost can score with the model in a file of that content.

    Raises
    ------
    ValueError
        It is no file of CatBoost, or a number in it leads nowhere.
    """
    require(content.startswith(MAGIC) and len(content) > 8, "it does not begin as a file of CatBoost")
    core, rest = _part(content, 4)
    model = Table.root(core)
    trees = model.table(1)
    features = _Features.of(trees)
    _check_trees(trees, features)
    _check_tables(rest, model.size(3), features)


def _part(content: bytes, at: int) -> tuple[bytes, bytes]:
    """The part whose length is at this place, and what follows it."""
    require(at + 4 <= len(content), "the file ends too early")
    (size,) = struct.unpack_from("<I", content, at)
    require(size <= len(content) - at - 4, "a part is longer than the file")
    return content[at + 4 : at + 4 + size], content[at + 4 + size :]


@dataclass(frozen=True)
class _Features:
    """What a split may ask for."""

    borders: Sequence[NDArray[np.float32]]
    """Of each number."""
    words: dict[int, set[int]]
    """The hashes of the categories, of each category that is split one against the rest."""
    categories: int
    encodings: Sequence[Table]
    """The encodings of categories by labels."""
    splits: int
    """All splits: one for each border and each hash."""
    bytes_of_row: int
    """What a row becomes before it is scored."""

    @classmethod
    def of(cls, trees: Table) -> "_Features":
        require(not any(trees.size(field) for field in (12, 13, 18)), "it has columns of texts or embeddings")
        numbers, categories = trees.tables(5), trees.tables(4)
        for place, feature in enumerate(numbers):
            require(feature.whole(1, -1) == feature.whole(2, -1) == place, "a number is not in its place")
        for place, feature in enumerate(categories):
            found = feature.whole(0, -1), feature.whole(1, -1)
            require(found == (place, len(numbers) + place), "a category is not in its place")
        borders = [feature.numbers(3, "<f4") for feature in numbers]
        one_hot = trees.tables(6)
        words = {feature.whole(0, -1): set(feature.numbers(1, "<i4").tolist()) for feature in one_hot}
        require(len(words) == len(one_hot), "a category occurs twice")
        require(all(0 <= index < len(categories) for index in words), "a split names no category")
        encodings = trees.tables(7)
        sizes = [len(one) for one in borders]
        sizes += [len(feature.numbers(1, "<i4")) for feature in one_hot]
        sizes += [len(feature.numbers(1, "<f4")) for feature in encodings]
        return cls(
            borders=borders,
            words=words,
            categories=len(categories),
            encodings=[feature.table(0) for feature in encodings],
            splits=sum(sizes),
            bytes_of_row=sum(-(-size // MAX_BORDERS) for size in sizes),
        )


def _check_trees(trees: Table, features: _Features) -> None:
    """Raise where a split or a leaf of a tree is not there."""
    dimension = trees.whole(0, 0)
    splits, sizes, starts = (trees.numbers(field, "<i4").astype(np.int64) for field in (1, 2, 3))
    leaves, steps = trees.numbers(8, "<f8"), trees.numbers(10, STEP)
    require(0 < dimension <= len(leaves) and trees.size(16) in (0, dimension), "the number of outputs is impossible")
    require(bool((sizes >= 0).all()) and sizes.sum() == len(splits), "the sizes of trees do not fit their splits")
    require(np.array_equal(starts, np.cumsum(sizes) - sizes), "a tree does not begin where the one before it ends")
    known = max(features.splits, 1)  # the end of a tree asks for the first split, also where there is none
    require(bool(((splits >= 0) & (splits < known)).all()), "a split asks for nothing")
    packed = trees.numbers(17, REPACKED)
    require(len(packed) in (0, len(splits)), "the splits are packed otherwise")
    require(bool((packed["feature"] < max(features.bytes_of_row, 1)).all()), "a packed split asks for nothing")
    if len(steps) or trees.size(11):
        _check_steps(trees, sizes, len(leaves), dimension)
    else:
        require(bool((sizes <= MAX_DEPTH).all()), "a tree is too deep")
        require(int((1 << sizes).sum()) * dimension == len(leaves), "there are too many or too few leaves")


def _check_steps(trees: Table, sizes: Numbers, num_leaves: int, dimension: int) -> None:
    """Raise unless each node but a root is one step ahead of one node of its tree, and each end has its leaf."""
    steps, leaf_of = trees.numbers(10, STEP), trees.numbers(11, "<u4").astype(np.int64)
    require(len(steps) == len(leaf_of) == sizes.sum() and bool((sizes > 0).all()), "a node lacks its step or its leaf")
    number = np.arange(len(steps))
    end = np.repeat(np.cumsum(sizes), sizes)
    reached = np.zeros(len(steps), np.int64)
    for side in ("left", "right"):
        step = steps[side].astype(np.int64)
        require(bool((number + step < end).all()), "a step leads out of its tree")
        reached += np.bincount((number + step)[step > 0], minlength=len(steps))
    is_root = np.isin(number, np.cumsum(sizes) - sizes)
    require(bool((reached == ~is_root).all()), "a node is reached from no other, or from two")
    ends = leaf_of[(steps["left"] == 0) | (steps["right"] == 0)]
    require(bool(((ends % dimension == 0) & (ends + dimension <= num_leaves)).all()), "a leaf is not there")


def _check_tables(rest: bytes, num_parts: int, features: _Features) -> None:
    """Raise where the tables of encodings, which follow the trees, do not have what an encoding looks for."""
    classes: dict[Any, int] = {}
    if num_parts:
        require(len(rest) >= 4, "the tables of encodings are missing")
        (count,), rest = struct.unpack_from("<I", rest), rest[4:]
        for _ in range(min(count, len(rest))):
            part, rest = _part(rest, 0)
            table = Table.root(part)
            classes[_key(table.table(0), features)] = _check_table(table)
        require(len(classes) == count, "a table of encodings occurs twice")
    require(not rest, "something follows the model")
    for encoding in features.encodings:
        base, target = encoding.table(0), encoding.whole(1, 0)
        key = _key(base, features)
        require(key in classes, "an encoding has no table")
        kind = base.whole(1, BORDERS, "<b")
        known = {BORDERS: classes[key] - 1, BUCKETS: classes[key]}.get(kind, 1)
        require(0 <= target < known, "an encoding asks for a class that its table lacks")


def _check_table(table: Table) -> int:
    """The number of classes of a table, after its rows were checked."""
    kind, classes = table.table(0).whole(1, BORDERS, "<b"), table.whole(4, 0)
    require(BORDERS <= kind <= FREQUENCY and 0 <= classes < 1 << 16, "a table is of no known kind")
    width = {BORDERS: 4 * classes, BUCKETS: 4 * classes, BINARIZED_MEAN: 8, FLOAT_MEAN: 8}.get(kind, 4)
    buckets, size = table.numbers(1, "u1"), table.size(2)
    require(width > 0 and size % width == 0 and len(buckets) % 12 == 0, "a table has a part of a row")
    found = np.frombuffer(buckets.tobytes(), BUCKET)
    is_row = found["hash"] != EMPTY
    require(len(found) & (len(found) - 1) == 0 and not bool(is_row.all()), "a search in a table has no end")
    require(bool((found["row"][is_row] < size // width).all()), "a table lacks a row")
    return classes


def _key(base: Table, features: _Features) -> Any:
    """What names a table: the columns and splits that are combined, which must exist, and the kind."""
    combined = base.table(0)
    columns = combined.numbers(0, "<i4").tolist()
    numbers, words = combined.numbers(1, FLOAT_SPLIT).tolist(), combined.numbers(2, WORD_SPLIT).tolist()
    require(bool(columns) and all(0 <= column < features.categories for column in columns), "no category is encoded")
    for index, border in numbers:
        known = 0 <= index < len(features.borders) and border in features.borders[index]
        require(known, "an encoding asks for a border that there is not")
    known = all(value in features.words.get(index, ()) for index, value in words)
    require(known, "an encoding asks for a category that there is not")
    return tuple(columns), tuple(numbers), tuple(words), base.whole(1, BORDERS, "<b")
