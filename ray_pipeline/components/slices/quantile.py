"""Slices of about equal size along a number, cut at quantiles of the training rows."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ray_pipeline.components.slices._base import NULL, Names, Slice, column_of
from ray_pipeline.errors import DataError, Problem


class Quantile(Slice):
    """Names a row by the bin that its value falls into: `< 502`, `[502, 872)`, `>= 872`."""

    short_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"column": {"type": "string"}, "bins": {"type": "integer", "minimum": 2}},
        "required": ["column"],
        "additionalProperties": False,
    }

    column: str
    bins: int = Field(default=4, ge=2, le=100)

    @classmethod
    def read_short(cls, written: object) -> Mapping[str, Any] | None:
        """A mapping with a column."""
        return written if isinstance(written, Mapping) and "column" in written else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    @property
    def written(self) -> dict[str, object]:
        """The mapping of column and bins."""
        return {"column": self.column, "bins": self.bins}

    @property
    def edges_needed(self) -> dict[str, int]:
        """How many bins the column needs."""
        return {self.column: self.bins}

    def name_of(self, table: pa.Table, edges: Mapping[str, Sequence[float]]) -> dict[str, Names]:
        """See `Slice`; equal edges (a value that fills more than one bin) make one bin."""
        values = column_of(table, self.column)
        if not (
            pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)
        ):
            fix = f"slice by the value itself: write {self.column} instead of {self.written}"
            raise DataError(
                Problem(
                    stage="evaluate",
                    column=self.column,
                    found=f"{self.column!r} holds {values.type}, which cannot be cut into bins",
                    fix=fix,
                )
            )
        numbers = pc.cast(values, pa.float64()).to_numpy()
        cuts = np.unique(np.asarray(edges[self.column], np.float64))
        names = np.array([*_names(cuts), NULL], dtype=object)
        return {
            self.column: names[np.where(np.isnan(numbers), len(cuts) + 1, np.searchsorted(cuts, numbers, side="right"))]
        }


def _names(cuts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[str]:
    if not len(cuts):
        return ["any"]
    short = [f"{cut:.6g}" for cut in cuts]
    edge = short if len(set(short)) == len(short) else [repr(float(cut)) for cut in cuts]
    return [f"< {edge[0]}", *(f"[{a}, {b})" for a, b in pairwise(edge)), f">= {edge[-1]}"]
