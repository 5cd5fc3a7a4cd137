"""A slice names every row by one or more columns; it is written `carrier`, `{column: distance, bins: 4}` or `[origin,
carrier]`."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import GetJsonSchemaHandler, ModelWrapValidatorHandler, ValidationError, model_serializer, model_validator
from pydantic_core import CoreSchema

from ray_pipeline.components.choice import Choice, find
from ray_pipeline.errors import DataError, Problem, nearest

NULL = "null"
Names = NDArray[np.object_]


class Slice(Choice):
    """Base of every kind of slice; as a field's type it takes and gives the written form."""

    @staticmethod
    def parse(written: object) -> "Slice":
        """The slice that the written form means.

        Raises:
            ValueError: it means none; the message says what a slice looks like.
        """
        if isinstance(written, Slice):
            return written
        fields: dict[str, Any]
        if isinstance(written, str):
            kind, fields = "value", {"column": written}
        elif isinstance(written, Mapping) and "column" in written:
            kind, fields = "quantile", dict(written)
        elif isinstance(written, Sequence):
            kind, fields = "crossing", {"of": tuple(Slice.parse(part) for part in written)}
        else:
            raise ValueError(
                f"{written!r} is not a slice; write a column, {{column: NAME, bins: 4}} or a list of columns"
            )
        try:
            found: Slice = find("slices", kind).model_validate(fields)
        except ValidationError as error:
            what = "; ".join(": ".join(str(word) for word in (*one["loc"], one["msg"])) for one in error.errors())
            raise ValueError(f"{written!r} is not a slice: {what}") from None
        return found

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns that name a row, in the order written."""

    @property
    def name(self) -> str:
        """What the report calls it: `carrier`, or `origin × carrier`."""
        return " × ".join(self.columns)

    @property
    def edges_needed(self) -> dict[str, int]:
        """For each column that is cut into bins, how many bins; the edges between them come from training rows."""
        return {}

    @abstractmethod
    def name_of(self, table: pa.Table, edges: Mapping[str, Sequence[float]]) -> dict[str, Names]:
        """The name of every row by each column, (n,) of str; `null` where the value is missing (NaN included).

        Args:
            table: the rows; a column is found by its name, or by `<table>.<name>` where only one ends so.
            edges: the inner edges of each binned column, ascending: one less than there are bins.

        Raises:
            DataError: a column is absent, or cannot be cut into bins.
        """

    @property
    @abstractmethod
    def written(self) -> Any:
        """The form that a user writes."""

    @model_validator(mode="wrap")
    @classmethod
    def _from_written(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return Slice.parse(value) if cls is Slice else handler(value)  # type: ignore[return-value]

    @model_serializer
    def _as_written(self) -> Any:
        return self.written

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        one = [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"column": {"type": "string"}, "bins": {"type": "integer", "minimum": 2}},
                "required": ["column"],
                "additionalProperties": False,
            },
        ]
        return {"anyOf": [*one, {"type": "array", "items": {"anyOf": one}, "minItems": 2}]}


def clash(slices: Iterable[Slice]) -> str | None:
    """Why the slices cannot stand side by side, or None: one column has one name per row, so it is cut in one way
    only."""
    seen: dict[str, int | None] = {}
    for one in slices:
        for column in one.columns:
            bins = one.edges_needed.get(column)
            if seen.setdefault(column, bins) != bins:
                return f"{column!r} is sliced both {_cut(seen[column])} and {_cut(bins)}; slice a column in one way"
    return None


def column_of(table: pa.Table, name: str) -> pa.ChunkedArray:
    """The column of that name, or the only one called `<table>.<name>`."""
    ending = [known for known in table.column_names if known.endswith(f".{name}")]
    if name not in table.column_names and len(ending) != 1:
        offer = (
            f"it may be {' or '.join(ending)}"
            if ending
            else f"{nearest(name, table.column_names)}known: {', '.join(table.column_names[:20])}"
        )
        raise DataError(
            Problem(stage="evaluate", column=name, found=f"there is no column {name!r} to slice by", fix=offer)
        )
    return table[name if name in table.column_names else ending[0]]


def _cut(bins: int | None) -> str:
    return "by value" if bins is None else f"into {bins} bins"
