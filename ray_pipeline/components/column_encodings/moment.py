"""A time as its parts: year, and month, day, weekday and hour as points on their cycles."""

from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._base import ColumnSummary, Encoding, Fold, Options
from ray_pipeline.components.column_encodings._columns import Kind
from ray_pipeline.values import Matrix

CYCLES = {"month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60), "yearday": (1, 366)}
"""The first value and the length of each cyclic part."""
PARTS = ("year", *CYCLES)


class Moment(Encoding):
    """Each part of the time (in UTC, if it has a zone) as a number.

    With `cycles`, a cyclic part becomes sine and cosine, so that 23 h is near 0 h.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("time",)
    takes: ClassVar[tuple[str, ...]] = ("parts", "cycles")

    parts: tuple[str, ...]
    cycles: bool = False
    finite: bool = False

    @classmethod
    def fit(cls, name: str, summary: ColumnSummary, options: Options) -> Self:
        """Nothing is learnt. If the family takes no NaN, a missing time is 0, the middle of a cycle."""
        return cls(
            name=name,
            kind=summary.kind,
            parts=options.parts or PARTS,
            cycles=options.finite if options.cycles is None else options.cycles,
            finite=options.finite,
        )

    @classmethod
    def is_default(cls, kind: Kind, options: Options) -> bool:
        """Of a time, where its parts are asked for."""
        return kind == "time" and bool(options.parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """`name.part`, or `name.part.sin` and `name.part.cos`."""
        return tuple(
            f"{self.name}.{word}"
            for part in self.parts
            for word in ((f"{part}.sin", f"{part}.cos") if self.cycles and part in CYCLES else (part,))
        )

    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """One or two columns for each part."""
        moment = values.cast(pa.timestamp("us"), safe=False)
        columns = []
        for part in self.parts:
            number = pc.fill_null(_part(moment, part).cast(pa.float64()), np.nan).to_numpy()
            if self.cycles and part in CYCLES:
                first, length = CYCLES[part]
                turn = 2 * np.pi * (number - first) / length
                columns += [np.sin(turn), np.cos(turn)]
            else:
                first, length = CYCLES.get(part, (2000, 10))  # years as decades since 2000: all of about unit scale
                columns.append((number - first) / length if self.finite else number)
        matrix = np.stack(columns, axis=1).astype(np.float32)
        return np.nan_to_num(matrix, nan=0.0) if self.finite else matrix


def _part(moment: pa.ChunkedArray, part: str) -> pa.ChunkedArray:
    """One part of each time, as a whole number."""
    if part == "weekday":
        return pc.day_of_week(moment)
    return pc.day_of_year(moment) if part == "yearday" else getattr(pc, part)(moment)
