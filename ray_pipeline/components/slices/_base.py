"""A slice names every row by one or more columns.

A spec writes it in a short form that one of the classes reads: `carrier`, `{column: distance, bins: 4}` or
`[origin, carrier]`; or by the name of its class: `{my_package.ByDecade: {column: year}}`, or
`{kind: my_package.ByDecade, column: year}`.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import GetJsonSchemaHandler, ModelWrapValidatorHandler, ValidationError, model_serializer, model_validator
from pydantic_core import CoreSchema

from ray_pipeline.components.choice import Choice, each, find, name_of
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.components.own_code import returns, wrong_shape
from ray_pipeline.errors import DataError, Problem, nearest
from ray_pipeline.values import users_names

NULL = "null"
Names = NDArray[np.object_]


def _wrong_names(names: Mapping[str, Names], rows: int) -> str | None:
    """What is wrong with the names of a slice, in the first column where something is."""
    wrong = ((column, wrong_shape(named, rows)) for column, named in names.items())
    return next((f"for {column!r} {found}" for column, found in wrong if found), None)


class Slice(Choice):
    """Base of every kind of slice; as a field's type it takes and gives the written form."""

    short_schema: ClassVar[Mapping[str, Any] | None] = None
    """The JSON schema of the short form, for editors; None where the class has no short form."""

    @staticmethod
    def parse(written: object) -> "Slice":
        """The slice that the written form means.

        Raises
        ------
        ValueError
            It means none. The message says what a slice looks like.
        """
        if isinstance(written, Slice):
            return written
        refused: ValidationError | None = None
        for kind, fields in _readings(written):
            try:
                return kind.model_validate(fields)
            except ValidationError as error:
                refused = refused or error
        if refused is None:
            raise ValueError(
                f"{written!r} is not a slice; write a column, {{column: NAME, bins: 4}} or a list of columns"
            )
        what = "; ".join(": ".join(str(step) for step in (*one["loc"], one["msg"])) for one in refused.errors())
        raise ValueError(f"{written!r} is not a slice: {what}")

    @classmethod
    def read_short(cls, written: object) -> Mapping[str, Any] | None:
        """The fields that a short form means, where the class reads such a form; else None."""
        return None

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

    @returns(lambda names, _, table, *__, **___: _wrong_names(names, table.num_rows))
    @abstractmethod
    def name_of(self, table: pa.Table, edges: Mapping[str, Sequence[float]]) -> dict[str, Names]:
        """The name of every row by each column.

        Parameters
        ----------
        table
            The rows. A column is found by its name, or by `<table>.<name>` if only one has this ending.
        edges
            The inner edges of each binned column, ascending; one less than there are bins.

        Returns
        -------
        dict[str, Names]
            For each column the names, shape (n,); `null` where the value is missing or NaN.

        Raises
        ------
        DataError
            A column is absent, or cannot be cut into bins.
        """

    @property
    def written(self) -> Any:
        """The form that a user writes."""
        return {name_of(type(self)): dict(self)}

    @model_validator(mode="wrap")
    @classmethod
    def _from_written(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return Slice.parse(value) if cls is Slice else handler(value)  # type: ignore[return-value]

    @model_serializer
    def _as_written(self) -> Any:
        return self.written

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        short = [dict(kind.short_schema) for kind in each("slices") if kind.short_schema]
        named: dict[str, Any] = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}}
        with_kind: dict[str, Any] = {
            "type": "object",
            "properties": {"kind": {"type": "string"}},
            "required": ["kind"],
        }
        single = [*(form for form in short if form["type"] != "array"), named, with_kind]
        lists = [{**form, "items": {"anyOf": single}} for form in short if form["type"] == "array"]
        return {"anyOf": [*single, *lists]}


def _readings(written: object) -> Iterator[tuple[type[Slice], Mapping[str, Any]]]:
    """Each class that may be meant, and its fields."""
    if named := _named(written):
        yield find("slices", named[0]), named[1]
        return
    for kind in each("slices"):
        if (fields := kind.read_short(written)) is not None:
            yield kind, fields


def _named(written: object) -> tuple[str, dict[str, Any]] | None:
    """The word and the fields of a form that names its class; None for a short form."""
    if not isinstance(written, Mapping):
        return None
    if "kind" in written:
        word, fields = read_choice(written["kind"])
        return word, {**fields, **{name: value for name, value in written.items() if name != "kind"}}
    if len(written) == 1 and isinstance(next(iter(written.values())), Mapping):
        return read_choice(written)
    return None


def words_in(written: object) -> Iterator[str]:
    """The names of classes in a written form, those within a list included."""
    if named := _named(written):
        yield named[0]
    elif isinstance(written, Sequence) and not isinstance(written, str):
        for part in written:
            yield from words_in(part)


def clash(slices: Iterable[Slice]) -> str | None:
    """Why the slices exclude each other, or None. A column has one name in each row, so it is cut in one way only."""
    seen: dict[str, int | None] = {}
    for one in slices:
        for column in one.columns:
            bins = one.edges_needed.get(column)
            if seen.setdefault(column, bins) != bins:
                return f"{column!r} is sliced both {_cut(seen[column])} and {_cut(bins)}; slice a column in one way"
    return None


def column_of(table: pa.Table, name: str) -> pa.ChunkedArray:
    """The column of that name, or the only one called `<table>.<name>`."""
    known = users_names(table.column_names)
    ending = [one for one in known if one.endswith(f".{name}")]
    if name not in table.column_names and len(ending) != 1:
        offer = (
            f"it may be {' or '.join(ending)}" if ending else f"{nearest(name, known)}known: {', '.join(known[:20])}"
        )
        raise DataError(
            Problem(stage="evaluate", column=name, found=f"there is no column {name!r} to slice by", fix=offer)
        )
    return table[name if name in table.column_names else ending[0]]


def _cut(bins: int | None) -> str:
    return "by value" if bins is None else f"into {bins} bins"
