"""A table in memory (pandas, polars, Arrow and their like) as Arrow, and the SHA-256 of its content.

No library is imported for it: tables hand over their columns by the Arrow interface `__arrow_c_stream__`.
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Mapping, Sized
from pathlib import PurePath
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa

from ray_pipeline.column_types import plain_column
from ray_pipeline.errors import DataError, Problem, listed

TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def is_table(given: object) -> TypeGuard[Any]:
    """Whether it is a table: a pandas or polars data frame, an Arrow table, or another one with Arrow's interface."""
    return isinstance(given, pa.RecordBatch) or hasattr(given, "__arrow_c_stream__")


def not_a_table(given: object) -> tuple[str, str]:
    """What a value is that should be a table, and what would make it one."""
    if isinstance(given, str | PurePath):
        return "a path", "read the file first, as in pandas.read_parquet(PATH)"
    if hasattr(given, "collect"):  # polars' lazy frame
        return f"a {type(given).__name__}", "call its `collect()` first"
    return f"a {type(given).__name__}", "make it a table, as in pandas.DataFrame(...)"


def arrow_table(given: Any, name: str) -> pa.Table:
    """The table as Arrow, in types that Parquet has; the index of a pandas frame is no column.

    Every kind of text becomes `string`. A dictionary stays one where Parquet has it; other encodings become the values.

    Parameters
    ----------
    given
        A table, as `is_table` knows it.
    name
        The table's name in messages.

    Raises
    ------
    DataError
        A column has values of several types, or intervals, or Python objects; or a name occurs twice.
    """
    if objects := _polars_objects(given):
        raise _unfit(name, objects, "Python objects", "leave them out, or make them numbers or text")
    try:
        table = to_arrow(given)
        if twice := sorted(column for column, count in Counter(table.column_names).items() if count > 1):
            raise ValueError(f"{len(twice)} column names occur more than once: {listed(map(repr, twice))}")
        if intervals := [field.name for field in table.schema if _is_interval(field.type)]:
            raise _unfit(name, intervals, "intervals", f"make them text, as in frame[{intervals[0]!r}].astype(str)")
        return pa.table([_stored(column) for column in table.columns], names=table.column_names)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = ": ".join(map(str, error.args[::-1]))
        found = f"{name}: the {type(given).__name__} cannot be read as an Arrow table: {reason}"
        fix = "give each column one name and values of one type"
        raise DataError(Problem(stage="read", found=found, fix=fix)) from error


def to_arrow(given: Any) -> pa.Table:
    """The table as Arrow, with the types of its library; the index of a pandas frame is no column."""
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if type(given).__module__.partition(".")[0] != "pandas":
        return pa.table(given)
    if sparse := {name: kind.subtype for name, kind in given.dtypes.items() if type(kind).__name__ == "SparseDtype"}:
        given = given.astype(sparse)
    if not any(getattr(kind, "tz", None) for kind in given.dtypes):
        return pa.Table.from_pandas(given, preserve_index=False)
    with warnings.catch_warnings():
        # pyarrow 25 reads times with a zone by `Series.values`, which pandas 3.1 warns of.
        warnings.simplefilter("ignore", DeprecationWarning)
        return pa.Table.from_pandas(given, preserve_index=False)


def content_sha256(table: pa.Table) -> str:
    """SHA-256 of names, types and values in their order; chunks and the bytes behind nulls make no difference.

    Examples
    --------
    >>> one, two = pa.table({"x": pa.chunked_array([[1, None], [3]])}), pa.table({"x": [1, None, 3]})
    >>> content_sha256(one) == content_sha256(two), content_sha256(one) == content_sha256(two.slice(1))
    (True, False)
    """
    digest = hashlib.sha256(str(table.num_rows).encode())
    for field in table.schema:
        column = table[field.name]
        digest.update(repr((field.name, str(field.type))).encode())
        digest.update(np.packbits(column.is_valid().to_numpy()).tobytes())
        digest.update(_values(column.drop_null()))
    return digest.hexdigest()


def _unfit(name: str, columns: list[str], what: str, fix: str) -> DataError:
    found = f"{name}: {what} in {len(columns)} column{'s' if columns[1:] else ''}: {listed(map(repr, columns))}"
    return DataError(Problem(stage="read", column=columns[0], found=found, fix=fix))


def _polars_objects(given: Any) -> list[str]:
    """The columns of a polars frame of which Arrow would get addresses in memory."""
    if type(given).__module__.partition(".")[0] != "polars":
        return []
    return [name for name, kind in zip(given.columns, given.dtypes, strict=True) if str(kind) == "Object"]


def _is_interval(kind: pa.DataType) -> bool:
    return getattr(getattr(kind, "value_type", kind), "extension_name", None) == "pandas.interval"


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a type that Parquet has."""
    kind = column.type
    to = _stored_type(kind)
    if kind == to:
        return column
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return column if _is_stored_dictionary(column) else plain_column(column)
    try:
        return column.cast(to)
    except pa.ArrowNotImplementedError:  # of dictionaries within lists
        return pa.chunked_array([pa.array(chunk.to_pylist(), to) for chunk in column.chunks], to)


def _stored_type(kind: pa.DataType) -> pa.DataType:
    """The type without views and without encodings, at any depth."""
    if any(is_text(kind) for is_text in TEXTS):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _stored_type(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_stored_type(field.type)) for field in kind.fields])
    for is_kind, made in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_kind(kind):
            return made(kind.value_field.with_type(_stored_type(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_stored_type(kind.value_type)), kind.list_size)
    return kind


def _is_stored_dictionary(column: pa.ChunkedArray) -> bool:
    """Whether Parquet has the dictionary as it is: of plain values, none of which is null."""
    if not pa.types.is_dictionary(column.type) or any(chunk.dictionary.null_count for chunk in column.chunks):
        return False
    values = column.type.value_type
    if pa.types.is_nested(values) or isinstance(values, pa.BaseExtensionType):
        return False
    return bool(values == _stored_type(values) or pa.types.is_large_string(values))


def _values(column: pa.ChunkedArray) -> bytes:
    """The bytes of values without nulls."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values = column.to_numpy()
    return repr(column.to_pylist()).encode() if values.dtype == object else values.tobytes()


def as_table(rows: Any) -> pa.Table:
    """Return a frame of pandas or polars, an Arrow table, a dict of columns or of one row, or a list of dicts as Arrow.

    Raises
    ------
    DataError
        The rows are no table, or a column has values of several types.
    """
    if isinstance(rows, pa.Table):
        return rows
    if hasattr(rows, "iloc") and hasattr(rows, "to_dict") and not hasattr(rows, "columns"):  # a row of a pandas frame
        rows = rows.to_dict()
    if isinstance(rows, Mapping) and not any(
        isinstance(one, Sized) and not isinstance(one, str) for one in rows.values()
    ):
        rows = [dict(rows)]  # the values of one row
    try:
        return pa.Table.from_pylist(rows) if isinstance(rows, list) else to_arrow(rows)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            Problem(
                stage="predict",
                found=f"the rows are no table: {error}",
                fix="give each column one type: numbers, text, booleans or times",
            )
        ) from error
