"""What every splitter says: the part of each row, as a pure function of the row; and what it must look at before it
can."""

from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.choice import Choice

TRAIN, VALIDATION, TEST, DROPPED = 0, 1, 2, 3
Parts = NDArray[np.int8]


class Splitter(Choice):
    """Assigns each row to train (0), validation (1) or test (2), or drops it in a gap (3)."""

    by: str

    def columns(self) -> tuple[str, ...]:
        """The columns of the label table that decide, beyond key and time."""
        return ()

    def fit_columns(self) -> tuple[str, ...]:
        """The roles (`key`, `label`) or columns that one extra pass must bring before `part_of` can be asked; mostly
        none."""
        return ()

    def look(self, seen: pa.Table) -> Self:
        """The splitter that has seen those columns of every row. Raises `DataError` where they cannot be split."""
        return self

    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row, shape (n,) int8. `rows` has the roles `key`, `time` and `label`, and `columns()`, under
        these names."""
        raise NotImplementedError


def carve(position: NDArray[np.float64], validation: float, test: float) -> Parts:
    """Parts by a row's position in [0, 1): the lowest share is test, the next validation, the rest train."""
    return np.where(position < test, TEST, np.where(position < test + validation, VALIDATION, TRAIN)).astype(np.int8)
