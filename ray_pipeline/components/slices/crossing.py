"""Slices by several columns at once."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, field_validator

from ray_pipeline.components.slices._base import Names, Slice


class Crossing(Slice):
    """Names a row by each of its parts: the slice is the combination."""

    short_schema: ClassVar[Mapping[str, Any]] = {"type": "array", "minItems": 2}

    of: tuple[Slice, ...] = Field(min_length=2)

    @classmethod
    def read_short(cls, written: object) -> Mapping[str, Any] | None:
        """A list of other slices."""
        if isinstance(written, str) or not isinstance(written, Sequence):
            return None
        return {"of": tuple(Slice.parse(part) for part in written)}

    @field_validator("of")
    @classmethod
    def _distinct(cls, of: tuple[Slice, ...]) -> tuple[Slice, ...]:
        columns = [column for part in of for column in part.columns]
        if len(columns) > len(of):
            raise ValueError(f"a crossing of crossings is one list; write [{', '.join(columns)}]")
        if len(set(columns)) < len(columns):
            raise ValueError(f"a crossing names each column once, but got [{', '.join(columns)}]")
        return of

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its parts."""
        return tuple(column for part in self.of for column in part.columns)

    @property
    def written(self) -> list[Any]:
        """The list of its parts."""
        return [part.written for part in self.of]

    @property
    def edges_needed(self) -> dict[str, int]:
        """The bins that its parts need."""
        return {column: bins for part in self.of for column, bins in part.edges_needed.items()}

    def name_of(self, table: pa.Table, edges: Mapping[str, Sequence[float]]) -> dict[str, Names]:
        """See `Slice`: one array for each column."""
        return {column: names for part in self.of for column, names in part.name_of(table, edges).items()}
