"""Labels of each category by fold: an encoding by the mean label never uses a row's own label."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._base import FOLDS
from ray_pipeline.data.rows import KEY, LABEL
from ray_pipeline.hashing import hash_values

FOLD_SEED = 0xF01D  # no seed of a split: a fold must not depend on which rows went to test


def folds(rows: pa.Table) -> NDArray[np.int8]:
    """The fold of each row, from 0 to `FOLDS` - 1, by its key's hash; shape (rows,)."""
    return (hash_values(rows[KEY], FOLD_SEED) % np.uint64(FOLDS)).astype(np.int8)


def outcomes_by_fold(train: pa.Table, name: str) -> dict[str, list[float]]:
    """For each value of a column: the rows of each fold, then the sum of the labels of each fold.

    Parameters
    ----------
    train
        Training rows with key, label and the column.
    name
        A categorical column.
    """
    coded = train[name].cast(pa.large_string()).combine_chunks().dictionary_encode()
    known = pc.is_valid(coded).to_numpy(zero_copy_only=False)
    cell = pc.fill_null(coded.indices, 0).to_numpy().astype(np.int64) * FOLDS + folds(train)
    size = len(coded.dictionary) * FOLDS
    rows, total = (
        np.bincount(cell[known], weight, size).reshape(-1, FOLDS) for weight in (None, train[LABEL].to_numpy()[known])
    )
    return {
        value: [*map(float, rows[code]), *total[code].tolist()]
        for code, value in enumerate(coded.dictionary.to_pylist())
    }


def add_outcomes(first: Mapping[str, list[float]], second: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """The outcomes of two blocks together."""
    nothing = [0.0] * 2 * FOLDS
    return {
        value: [a + b for a, b in zip(first.get(value, nothing), second.get(value, nothing), strict=True)]
        for value in {**first, **second}
    }


def outcome_arrays(outcomes: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The outcomes of each column as arrays: rows and sums of labels by fold, shape (2, FOLDS) for each value."""
    return {
        name: {value: np.reshape(numbers, (2, FOLDS)) for value, numbers in values.items()}
        for name, values in outcomes.items()
    }
