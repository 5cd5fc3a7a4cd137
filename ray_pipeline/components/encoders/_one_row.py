"""One row of Python values as a row of the matrix, with the bits that `Encoder.apply` gives, and without Arrow.

All numbers are encoded at once; what a text or a code of a category becomes is remembered. Any other value goes through
its encoding as a column of one row.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa

from ray_pipeline.components.column_encodings._base import Encoding
from ray_pipeline.components.column_encodings._columns import MAX_EXACT
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.values import Matrix

NUMBERS = frozenset(
    {type(None), bool, int, float, np.bool_, np.int8, np.int16, np.int32, np.int64, np.float32, np.float64}
)
REMEMBERED = frozenset({str, int, float, type(None)})
"""Types of a category's value whose code is remembered; True would be taken for 1."""
MAX_REMEMBERED, MAX_LENGTH = 10_000, 200
"""How many values of a column are remembered, and up to how many characters of a text."""


class OneRow:
    """Encodes rows that come one at a time.

    Parameters
    ----------
    encoder
        The fitted encoder.
    single
        The columns that training read as float32: their numbers are rounded first.
    """

    def __init__(self, encoder: Encoder, single: Collection[str] = ()) -> None:
        self.encoded = encoder.encoded
        first = np.cumsum([0, *(len(encoding.columns) for encoding in self.encoded)]).tolist()
        self.width = first[-1]
        quick = {place: encoding for place, encoding in enumerate(self.encoded) if _is_plain(encoding)}
        self.of_numbers, self.numbers = [*quick], _Numbers([*quick.values()], [first[place] for place in quick], single)
        self.others: list[tuple[int, int, int, dict[Any, Matrix]]] = [
            (place, first[place], first[place + 1], {}) for place in range(len(self.encoded)) if place not in quick
        ]

    def matrix(self, values: Sequence[Any], column: Callable[[int], pa.ChunkedArray]) -> Matrix | None:
        """Return the matrix of the row, shape (1, columns); None where a number is none that is encoded at once.

        Parameters
        ----------
        values
            The row's value for each encoding of the encoder; NaN and None are missing.
        column
            Returns the value at a place as a column of one row, of the kind that it had in training.
        """
        matrix = np.empty((1, self.width), np.float32)
        if not self.numbers.write([values[place] for place in self.of_numbers], matrix[0]):
            return None
        for place, start, stop, known in self.others:
            value = values[place]
            found = known.get(value) if type(value) in REMEMBERED else None
            if found is None:
                found = self.encoded[place].apply(column(place))[0]
                is_short = type(value) in REMEMBERED and (type(value) is not str or len(value) <= MAX_LENGTH)
                if is_short and len(known) < MAX_REMEMBERED:
                    known[value] = found
            matrix[0, start:stop] = found
        return matrix


class _Numbers:
    """All numbers of a row at once: the arithmetic of `Number.encode`, on an array of columns in place of rows."""

    def __init__(self, encodings: list[Number], first: list[int], single: Collection[str]) -> None:
        self.columns = np.array(first, np.intp)
        self.single = np.array([at for at, encoding in enumerate(encodings) if encoding.name in single], np.intp)
        self.offset, self.centre, self.width = (
            np.array([getattr(encoding, field) for encoding in encodings], np.float64)
            for field in ("offset", "centre", "width")
        )
        self.missing = np.array(
            [np.nan if encoding.missing is None else encoding.missing for encoding in encodings], np.float32
        )
        self.most = np.array([np.inf if encoding.most is None else encoding.most for encoding in encodings], np.float32)
        self.curved = [(at, encoding) for at, encoding in enumerate(encodings) if encoding.log or encoding.knots]
        self.flagged = np.array([at for at, encoding in enumerate(encodings) if encoding.flagged], np.intp)

    def write(self, values: list[Any], row: Matrix) -> bool:
        """Write the numbers into their places of the row; False where one is infinite, too large, or no number."""
        if not NUMBERS.issuperset(map(type, values)):
            return False
        try:
            number = np.array(values, np.float64)
        except OverflowError:
            return False
        if (np.abs(number) > MAX_EXACT).any():
            return False
        if len(self.single):
            number[self.single] = number[self.single].astype(np.float32)
        with np.errstate(over="ignore"):
            scaled = ((number - self.offset) - self.centre) / self.width
            for at, encoding in self.curved:
                scaled[at] = encoding.transformed(number[at : at + 1] - encoding.offset)[0]
            single = scaled.astype(np.float32)
        single = np.where(np.isfinite(single), np.minimum(single, self.most), self.missing)
        row[self.columns] = single
        if len(self.flagged):
            row[self.columns[self.flagged] + 1] = np.isnan(number[self.flagged])
        return True


def _is_plain(encoding: Encoding) -> TypeGuard[Number]:
    return type(encoding) is Number and encoding.kind == "number" and not encoding.declared
