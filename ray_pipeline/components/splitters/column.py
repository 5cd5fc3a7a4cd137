"""Split by a column that says train, validation or test."""

from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr

from ray_pipeline.components.splitters._base import VALIDATION, Parts, Splitter
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.hashing import hash_values, uniform
from ray_pipeline.values import PARTS


class Column(Splitter):
    """The part that a column names.

    If no row says validation, the share `validation` of the training rows becomes validation, by the hash of the key
    (or of `group`).
    """

    by: Literal["column"] = "column"
    """The kind of split."""
    column: str
    """The column that says train, validation or test."""
    validation: Annotated[float, Field(gt=0, lt=1, strict=False)] = 0.2
    """The share of train that becomes validation, if no row says validation."""
    group: str | None = None
    """Rows of one group stay together when validation is taken out of train."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the hash that takes validation out of train."""
    _carve: bool = PrivateAttr(default=False)

    def columns(self) -> tuple[str, ...]:
        """The column itself, and the group's column if there is a group."""
        return (self.column, self.group) if self.group else (self.column,)

    def fit_columns(self) -> tuple[str, ...]:
        """The column itself: only all of its rows show whether it names a validation part."""
        return (self.column,)

    def fit(self, rows: pa.Table) -> Self:
        """The splitter that knows whether it must take validation rows out of train.

        Raises
        ------
        DataError
            The column has another value than the names of the three parts.
        """
        values = pc.value_counts(rows[self.column].combine_chunks().cast(pa.string())).to_pylist()
        counts = {row["values"]: row["counts"] for row in values}
        if unknown := {value: count for value, count in counts.items() if value not in PARTS}:
            num_rows, shown = sum(unknown.values()), listed(f"{value!r} ({n:,} rows)" for value, n in unknown.items())
            raise DataError(
                Problem(
                    stage="split",
                    column=self.column,
                    rows=num_rows,
                    found=f"{num_rows:,} rows name no part: {shown}",
                    fix=f"the column must say one of {', '.join(PARTS)}",
                )
            )
        fitted = self.model_copy()
        fitted._carve = "validation" not in counts
        return fitted

    def part_of(self, rows: pa.Table) -> Parts:
        """The part that the column names; after `fit`, with validation rows taken out of train if it names none."""
        names = rows[self.column].cast(pa.string())
        part: Parts = pc.index_in(names, pa.array(PARTS)).to_numpy(zero_copy_only=False).astype(np.int8)
        if self._carve:
            carved = uniform(hash_values(rows[self.group or "key"], self.seed)) < self.validation
            part[(part == 0) & carved] = VALIDATION
        return part
