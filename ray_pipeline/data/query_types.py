"""The types of a query's columns, from all its parts.

SQLite has no type for times: there they are found by their values, in the forms of ISO 8601 that it reads and writes.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.errors import DataError, Problem

TIMES = pa.timestamp("us"), pa.timestamp("us", "UTC")


def schema_of(name: str, parts: Sequence[pa.Buffer], *, finds_times: bool) -> pa.Schema:
    """Return the types that hold the values of all parts.

    Parameters
    ----------
    name
        The table's name, for messages.
    parts
        Parquet files in memory.
    finds_times
        Whether a column of texts is one of times if all its values are dates or moments.

    Raises
    ------
    DataError
        No type holds the values of a column in all parts.
    """
    schemas = [pq.read_schema(pa.BufferReader(part)) for part in parts]
    fields = []
    for column in schemas[0].names if schemas else ():
        types = list(dict.fromkeys(schema.field(column).type for schema in schemas))
        try:
            type_ = (
                pa.unify_schemas([pa.schema([(column, one)]) for one in types], promote_options="permissive")
                .field(0)
                .type
            )
        except (pa.ArrowTypeError, pa.ArrowInvalid):  # also decimals that are too wide together
            raise unlike(name, column, types) from None
        if finds_times and pa.types.is_string(type_):
            type_ = next((time for time in TIMES if _all_are(time, column, parts)), type_)
        fields.append(pa.field(column, type_))
    return pa.schema(fields)


def unlike(name: str, column: str, types: Sequence[object]) -> DataError:
    """The error that a column has values of unlike types."""
    found = f"{name}: {column!r} has values of the types {', '.join(map(str, types))}"
    fix = f"cast it in the query, as in CAST({column} AS TEXT)"
    return DataError(Problem(stage="read", column=column, found=found, fix=fix))


def unstorable(name: str, schema: pa.Schema) -> DataError:
    """The error that a query gives columns of types that Parquet does not have."""

    def is_storable(field: pa.Field) -> bool:
        try:
            pq.write_table(pa.schema([field]).empty_table(), pa.BufferOutputStream())
        except pa.ArrowNotImplementedError:
            return False
        return True

    return DataError(
        [
            Problem(
                stage="read",
                column=field.name,
                found=f"{name}: {field.name!r} is {field.type}, which cannot be stored",
                fix=f"leave it out, or cast it in the query, as in CAST({field.name} AS TEXT)",
            )
            for field in schema
            if not is_storable(field)
        ]
    )


def _all_are(time: pa.DataType, column: str, parts: Sequence[pa.Buffer]) -> bool:
    """Whether there are texts, and each is a date or a moment of this type."""
    some = False
    for part in parts:
        texts = pq.read_table(pa.BufferReader(part), columns=[column])[column]
        if texts.null_count == len(texts):
            continue
        some = True
        try:
            texts.cast(time)
        except pa.ArrowInvalid:
            return False
    return some
