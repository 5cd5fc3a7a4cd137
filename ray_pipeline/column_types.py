"""Arrow types as this package reads them: every column becomes one of a few plain types, without loss, or is refused.

All later code sees plain types only. A missing value is null: NaN of a float column is null, too.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal[
    "boolean", "integer", "float", "decimal", "text", "bytes", "date", "timestamp", "time", "duration", "null", "nested"
]

KINDS: Mapping[Kind, tuple[Callable[[pa.DataType], bool], ...]] = {
    "boolean": (pa.types.is_boolean,),
    "integer": (pa.types.is_integer,),
    "float": (pa.types.is_floating,),
    "decimal": (pa.types.is_decimal,),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "bytes": (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    ),
    "date": (pa.types.is_date,),
    "timestamp": (pa.types.is_timestamp,),
    "time": (pa.types.is_time,),
    "duration": (pa.types.is_duration,),
    "null": (pa.types.is_null,),
}


@cache
def kind_of(type_: pa.DataType) -> Kind:
    """What the values of an Arrow type are, whatever their encoding.

    Examples
    --------
    >>> kind_of(pa.int8()), kind_of(pa.dictionary(pa.int8(), pa.string_view())), kind_of(pa.list_(pa.int8()))
    ('integer', 'text', 'nested')
    """
    if _is_encoded(type_):
        return kind_of(type_.value_type)
    if isinstance(type_, pa.BaseExtensionType):
        return _EXTENSIONS.get(type_.extension_name) or kind_of(type_.storage_type)
    return next((kind for kind, tests in KINDS.items() if any(test(type_) for test in tests)), "nested")


_EXTENSIONS: Mapping[str, Kind] = {"arrow.uuid": "text", "arrow.json": "text", "arrow.bool8": "boolean"}


@cache
def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type in which a column of an Arrow type is read; nested types and intervals stay as they are.

    Examples
    --------
    >>> plain_type(pa.dictionary(pa.int8(), pa.large_string())), plain_type(pa.float16()), plain_type(pa.date64())
    (DataType(string), DataType(float), DataType(date32[day]))
    >>> plain_type(pa.timestamp("ms", "Europe/Berlin"))
    TimestampType(timestamp[ms, tz=UTC])
    """
    if _is_encoded(type_):
        return plain_type(type_.value_type)
    kind = kind_of(type_)
    if isinstance(type_, pa.BaseExtensionType) and kind not in _PLAIN:
        return plain_type(type_.storage_type)
    if kind == "timestamp" and type_.tz is not None:
        return pa.timestamp(type_.unit, "UTC")
    return pa.float32() if pa.types.is_float16(type_) else _PLAIN.get(kind, type_)


_PLAIN: Mapping[Kind, pa.DataType] = {
    "boolean": pa.bool_(),
    "text": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
}


def type_named(text: str) -> pa.DataType | None:
    """The plain type that Arrow writes so; None for another text.

    Examples
    --------
    >>> type_named("timestamp[us, tz=UTC]"), type_named("decimal128(9, 2)"), type_named("list<item: int8>")
    (TimestampType(timestamp[us, tz=UTC]), Decimal128Type(decimal128(9, 2)), None)
    """
    if time := re.fullmatch(r"timestamp\[(\w+), tz=UTC\]", text):
        return pa.timestamp(time[1], "UTC")
    if number := re.fullmatch(r"decimal128\((\d+), (-?\d+)\)", text):
        return pa.decimal128(int(number[1]), int(number[2]))
    try:
        return pa.type_for_alias(text)
    except ValueError:
        return None


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema in plain types, without metadata."""
    return pa.schema([pa.field(one.name, plain_type(one.type)) for one in schema])


def plain_table(table: pa.Table) -> pa.Table:
    """The table in plain types; a table that has them already is not copied."""
    stored = table.columns
    columns = [plain_column(column) for column in stored]
    if all(new is old for new, old in zip(columns, stored, strict=True)):
        return table
    return pa.table(columns, names=table.column_names)


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in its plain type, NaN as null.

    Parameters
    ----------
    column
        Shape (rows,).

    Examples
    --------
    >>> plain_column(pa.chunked_array([pa.array(["a", None, "a"]).dictionary_encode()])).to_pylist()
    ['a', None, 'a']
    >>> plain_column(pa.chunked_array([[1.0, float("nan")]])).null_count
    1
    """
    to = plain_type(column.type)
    if column.type != to:
        chunks = [_plain(chunk) for chunk in column.chunks]
        column = pa.chunked_array([chunk if chunk.type == to else chunk.cast(to) for chunk in chunks], to)
    if pa.types.is_floating(to):
        missing = pc.is_nan(column)
        if pc.any(missing).as_py():
            return pc.if_else(missing, pa.scalar(None, to), column)
    return column


def _is_encoded(type_: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_))


def _plain(values: pa.Array) -> pa.Array:
    """The values without their encoding: a dictionary may hold nulls, repeated values, or values of another encoding.

    Arrow has no kernels for dictionaries and runs of `string_view` nor for most extension types.
    """
    if isinstance(values, pa.DictionaryArray):
        return _plain(values.dictionary).take(values.indices)
    if isinstance(values, pa.RunEndEncodedArray):
        rows = np.arange(values.offset, values.offset + len(values))
        return _plain(values.values).take(pa.array(np.searchsorted(values.run_ends, rows, side="right")))
    if isinstance(values, pa.ExtensionArray):
        name, storage = values.type.extension_name, values.storage
        if name == "arrow.uuid":
            texts = [None if one is None else str(UUID(bytes=one)) for one in storage.to_pylist()]
            return pa.array(texts, pa.string())
        return pc.not_equal(storage, 0) if name == "arrow.bool8" else _plain(storage)
    to = plain_type(values.type)
    if pa.types.is_timestamp(to):  # the same moment; no kernel looks up the zone, which may be unknown here
        return values.cast(pa.int64()).cast(to)
    return values if values.type == to else values.cast(to)
