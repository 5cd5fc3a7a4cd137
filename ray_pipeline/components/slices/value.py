"""One slice for each value of a column."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.slices._base import NULL, Names, Slice, column_of


class Value(Slice):
    """Names a row by its value, as text."""

    short_schema: ClassVar[Mapping[str, Any]] = {"type": "string"}

    column: str

    @classmethod
    def read_short(cls, written: object) -> Mapping[str, Any] | None:
        """The name of a column."""
        return {"column": written} if isinstance(written, str) else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    @property
    def written(self) -> str:
        """The column's name."""
        return self.column

    def name_of(self, table: pa.Table, edges: Mapping[str, Sequence[float]]) -> dict[str, Names]:
        """See `Slice`."""
        values = column_of(table, self.column).combine_chunks()
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        coded = pc.dictionary_encode(values, null_encoding="encode")
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        names = np.array(
            [NULL if name is None else name for name in coded.dictionary.cast(pa.string()).to_pylist()], dtype=object
        )
        return {
            self.column: names[coded.indices.to_numpy(zero_copy_only=False)] if len(values) else np.empty(0, object)
        }
