"""Split by a column that says train, validation or test; where it never says validation, a share of train is carved by
key hash."""

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
    """The part that a column names; `validation` is the share of train to carve where the column names none."""

    by: Literal["column"] = "column"
    column: str
    validation: Annotated[float, Field(gt=0, lt=1, strict=False)] = 0.2
    group: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    _carve: bool = PrivateAttr(default=False)

    def columns(self) -> tuple[str, ...]:
        """The column itself, and the group's where validation is carved by group."""
        return (self.column, self.group) if self.group else (self.column,)

    def fit_columns(self) -> tuple[str, ...]:
        """The column itself: whether it names a validation part can only be seen in all of its rows."""
        return (self.column,)

    def look(self, seen: pa.Table) -> Self:
        """The splitter that knows whether validation must be carved. Raises `DataError` on any value but the three
        parts."""
        counts = {
            row["values"]: row["counts"]
            for row in pc.value_counts(seen[self.column].combine_chunks().cast(pa.string())).to_pylist()
        }
        strange = {value: count for value, count in counts.items() if value not in PARTS}
        if strange:
            raise DataError(
                Problem(
                    stage="split",
                    column=self.column,
                    rows=sum(strange.values()),
                    found=(
                        f"{sum(strange.values()):,} rows name no part:"
                        f" {listed(f'{value!r} ({count:,} rows)' for value, count in strange.items())}"
                    ),
                    fix=f"the column must say one of {', '.join(PARTS)}",
                )
            )
        looked = self.model_copy()
        looked._carve = "validation" not in counts
        return looked

    def part_of(self, rows: pa.Table) -> Parts:
        """The part that the column names, validation carved out of train by hash where it names none."""
        part: Parts = (
            pc.index_in(rows[self.column].cast(pa.string()), pa.array(PARTS))
            .to_numpy(zero_copy_only=False)
            .astype(np.int8)
        )
        if self._carve:
            carved = uniform(hash_values(rows[self.group or "key"], self.seed)) < self.validation
            part[(part == 0) & carved] = VALIDATION
        return part
