"""The interface of a splitter: the part of each row, as a pure function of the row."""

from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BeforeValidator

from ray_pipeline.components.choice import Choice
from ray_pipeline.components.own_code import returns, wrong_shape

TRAIN, VALIDATION, TEST, DROPPED = 0, 1, 2, 3
Parts = NDArray[np.int8]


MIN_FOLDS, MAX_FOLDS = 2, 20


def _folds(written: object) -> object:
    if written == "auto" or (
        isinstance(written, int)
        and not isinstance(written, bool)
        and (written == 0 or MIN_FOLDS <= written <= MAX_FOLDS)
    ):
        return written
    raise ValueError(f"expected auto, 0 or from {MIN_FOLDS} to {MAX_FOLDS} folds, got {written!r}")


class Splitter(Choice):
    """Assigns each row to train (0), validation (1) or test (2), or drops it in a gap (3)."""

    by: str
    folds: Annotated[Literal["auto"] | int, BeforeValidator(_folds)] = "auto"
    """Folds inside train + validation; 0 is the single validation part."""

    def columns(self) -> tuple[str, ...]:
        """The columns of the label table that decide, besides key and time."""
        return ()

    def fit_columns(self) -> tuple[str, ...]:
        """The roles (`key`, `label`) or columns that `fit` needs of every row; none where no extra pass is needed."""
        return ()

    def fit(self, rows: pa.Table) -> Self:
        """The splitter that is ready for `part_of`.

        Parameters
        ----------
        rows
            The `fit_columns` of all rows.

        Raises
        ------
        DataError
            The rows cannot be split by these columns.
        """
        return self

    @returns(lambda parts, _, rows: wrong_shape(parts, rows.num_rows) or _no_parts(parts))
    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row.

        Parameters
        ----------
        rows
            A table with the roles `key`, `time` and `label` and the columns of `columns()`, under these names.

        Returns
        -------
        Parts
            Shape (rows,), int8.
        """
        raise NotImplementedError


def _no_parts(parts: Parts) -> str | None:
    """What is wrong with numbers, some of which name no part."""
    wrong = int((~np.isin(parts, (TRAIN, VALIDATION, TEST, DROPPED))).sum())
    return f"{wrong:,} of {len(parts):,} numbers that name no part (0 to 3)" if wrong else None


def carve(position: NDArray[np.float64], validation: float, test: float) -> Parts:
    """Parts by position: the lowest share is test, the next one validation, the rest train.

    Parameters
    ----------
    position
        A number in [0, 1) for each row; shape (rows,).
    validation, test
        The shares of the two parts, each between 0 and 1.

    Returns
    -------
    Parts
        Shape (rows,), int8.

    Examples
    --------
    >>> carve(np.array([0.05, 0.2, 0.9]), validation=0.2, test=0.1).tolist()
    [2, 1, 0]
    """
    return np.where(position < test, TEST, np.where(position < test + validation, VALIDATION, TRAIN)).astype(np.int8)
