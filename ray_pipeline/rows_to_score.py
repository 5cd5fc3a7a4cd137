"""Rows as people send them: tables of several libraries become Arrow columns, each of the kind it had in training.

A value keeps its meaning, or its column is refused. Neither pandas nor polars is imported.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline.column_types import kind_of, plain_column
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.given_table import not_a_table

NUMBERS = ("boolean", "integer", "float", "decimal")
NUMBER = r"u?int\d|half|float|double|decimal"
"""How the names of the types of numbers begin in a schema; booleans are none of them."""
EMPTY: Mapping[str, pa.DataType] = {"number": pa.float64(), "category": pa.string(), "time": pa.timestamp("us")}
SCALARS = frozenset({type(None), bool, int, float, str})
WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
PLAIN = frozenset(
    one.id for one in (*WHOLE, pa.null(), pa.bool_(), pa.float32(), pa.float64(), pa.string(), pa.large_string())
)
"""Types of Arrow whose values are Python's own."""
DICTIONARY = pa.dictionary(pa.int8(), pa.string()).id
SINGLE = "float"
FLOATS: Mapping[str, pa.DataType] = {SINGLE: pa.float32(), "double": pa.float64()}
"""Plain types of floats by their names in a schema."""
OTHER = object()
"""Stands for a value that only its column can tell."""
ONE_TYPE = "give each column one type: numbers, text, booleans or times"


class SentRows:
    """The named columns of a table; a column that is not asked for is never converted.

    Parameters
    ----------
    rows
        An Arrow table, a frame of pandas or polars, a dict of columns or of the values of one row, or a list of dicts.

    Raises
    ------
    DataError
        The rows are no table.
    """

    def __init__(self, rows: Any) -> None:
        self.form = type(rows)
        self.names, self._values, self._row = _columns(rows)

    @property
    def is_one_row(self) -> bool:
        """Whether there is one row whose values can be had one by one."""
        return self._row is not None

    def row(self, places: Iterable[int]) -> list[Any]:
        """The values of the only row at those places: Python's, or `OTHER` for one that only the column can tell."""
        assert self._row is not None
        return [*map(self._row, places)]

    def column(self, at: int) -> pa.ChunkedArray:
        """The column at a place.

        Raises
        ------
        DataError
            Its values are of several types, or are none that Arrow knows.
        """
        values = self._values(at)
        if isinstance(values, pa.ChunkedArray):
            return values
        try:
            array = values if isinstance(values, pa.Array) else _array(values)
        except (pa.ArrowException, ArithmeticError, AttributeError, TypeError, ValueError) as error:
            found = f"the values cannot be read as one column: {str(error).splitlines()[0][:200]}"
            raise DataError(Problem(stage="predict", column=str(self.names[at]), found=found, fix=ONE_TYPE)) from error
        return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def as_trained(name: str, kind: str, trained: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a plain type of the kind that it had in training.

    Parameters
    ----------
    name
        Its full name, for messages.
    kind
        What it is to the model: `number`, `category` or `time`.
    trained
        The Arrow type in training, as text.
    column
        Shape (rows,).

    Raises
    ------
    DataError
        Its values are of another kind, a text is no time, or the column has a zone where training had none, or the
        other way round.

    Examples
    --------
    >>> sent = pa.chunked_array([["2013-05-01T12:00:00+02:00", None]])
    >>> as_trained("seen", "time", "timestamp[us, tz=UTC]", sent).to_pylist()[0].isoformat()
    '2013-05-01T10:00:00+00:00'
    """
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), EMPTY[kind])])
    column = plain_column(column)
    return conversion(name, kind, trained, column.type)(column)


def conversion(name: str, kind: str, trained: str, type_: pa.DataType) -> Callable[[pa.ChunkedArray], pa.ChunkedArray]:
    """What `as_trained` does with a column of a plain type.

    Raises
    ------
    DataError
        It takes no column of this type.
    """
    sent, zoned = kind_of(type_), "tz=" in trained
    if kind == "number" and sent in NUMBERS:
        return partial(_rounded, trained)
    if kind == "category":
        of = "boolean" if trained == "bool" else "number" if re.match(NUMBER, trained) else "text"
        if of == "number" and sent in NUMBERS and sent != "boolean":
            return partial(_whole, name, trained) if "int" in trained else partial(_rounded, trained)
        if sent == of:
            return _unchanged
    if kind == "time" and sent == "text":
        return partial(_times, name, zoned)
    if kind == "time" and sent in ("date", "timestamp"):
        if (getattr(type_, "tz", None) is not None) != zoned:
            raise _other(name, f"is {type_}, {_zone(not zoned)}; in training it was {trained}", _zone_fix(zoned))
        return _unchanged
    found = f"is {type_}, but the model was trained on a {kind} ({trained})"
    raise _other(name, found, "bring the column in the type it had in training")


def _unchanged(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column


def _rounded(trained: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as training read them: 0.1 of JSON is another number than the float32 0.1, and has another text."""
    to = FLOATS.get(trained, pa.float64() if pa.types.is_floating(column.type) else column.type)
    return column if column.type == to else column.cast(to, safe=False)


def _whole(name: str, trained: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers, where JSON and pandas write 1.0 for the category 1."""
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        found = f"has values that are no whole numbers; in training it was {trained}, a category"
        raise _other(name, found, "send whole numbers, or null") from error


def _times(name: str, zoned: bool, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times from text in the form of ISO 8601, which is all that JSON and CSV have."""
    for unit in ("us", "ns"):
        try:
            return column.cast(pa.timestamp(unit, "UTC" if zoned else None))
        except pa.ArrowInvalid as error:
            message = str(error)
    found = f"has a text that is no time {_zone(zoned)}: {message.splitlines()[0][:200]}"
    raise _other(name, found, _zone_fix(zoned))


def _zone(zoned: bool) -> str:
    return "with a zone" if zoned else "without a zone"


def _zone_fix(zoned: bool) -> str:
    return f"write times {_zone(zoned)}, as in training: {'2013-05-01T10:00:00Z' if zoned else '2013-05-01T10:00:00'}"


def _other(name: str, found: str, fix: str) -> DataError:
    return DataError(Problem(stage="predict", column=name, found=found, fix=fix))


Column = Callable[[int], Any]
"""Returns the values of the column at a place, or the value of the only row there."""


def _columns(rows: Any) -> tuple[list[Any], Column, Column | None]:
    """The names of a table's columns, and functions for the column at a place and, of one row, for the value there."""
    if isinstance(rows, pa.Table | pa.RecordBatch):
        return rows.column_names, rows.column, (lambda at: _value(rows.column(at))) if rows.num_rows == 1 else None
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):  # pandas
        row = rows.to_numpy(object, na_value=None)[0].__getitem__ if len(rows) == 1 else None
        return rows.columns.tolist(), lambda at: rows.iloc[:, at], row
    if hasattr(rows, "iloc") and hasattr(rows, "to_dict"):  # a row of a pandas frame
        return _of_dict(rows.to_dict())
    if hasattr(rows, "get_columns"):  # polars
        row = rows.row(0).__getitem__ if len(rows) == 1 else None
        return list(rows.columns), lambda at: rows.to_series(at).to_arrow(), row
    if isinstance(rows, Mapping):
        return _of_dict(rows)
    if isinstance(rows, Sequence) and rows and all(isinstance(row, Mapping) for row in rows):
        if len(rows) == 1:
            return _of_row(list(rows[0]), list(rows[0].values()))
        names = list(dict.fromkeys(chain.from_iterable(rows)))
        return names, lambda at: [row.get(names[at]) for row in rows], None
    try:
        table = pa.table(rows)
    except (pa.ArrowException, TypeError, ValueError) as error:
        what, fix = not_a_table(rows)
        found = f"the rows are no table with names of columns, but {what}"
        fix = f"send columns with names: a frame, a dict of columns or a list of dicts; {fix}"
        raise DataError(Problem(stage="predict", found=found, fix=fix)) from error
    return table.column_names, table.column, None


def _of_dict(rows: Mapping[Any, Any]) -> tuple[list[Any], Column, Column | None]:
    """The same for a dict of columns, or of the values of one row."""
    given = list(rows.values())
    if SCALARS.issuperset(map(type, given)):
        return _of_row(list(rows), given)
    given = [_item(values) for values in given]
    if not any(_is_sequence(values) for values in given):
        return _of_row(list(rows), given)
    if all(type(values) is list and len(values) == 1 for values in given):
        return _of_row(list(rows), [values[0] for values in given])
    return list(rows), given.__getitem__, None


def _of_row(names: list[Any], values: list[Any]) -> tuple[list[Any], Column, Column | None]:
    """The same for the values of one row."""
    return names, lambda at: [values[at]], values.__getitem__


def _value(column: pa.Array | pa.ChunkedArray) -> Any:
    """The only value of a column, if its type hides nothing."""
    kind = column.type
    kind = kind.value_type if kind.id == DICTIONARY else kind
    return column[0].as_py() if kind.id in PLAIN else OTHER


def _array(values: Any) -> pa.Array:
    """Values of one column of any library as an array; Python's numbers may be of several types."""
    if not _is_sequence(values):
        raise TypeError(f"one value of type {type(values).__name__} among columns")
    if str(getattr(values, "dtype", "object")).startswith("Sparse"):
        values = np.asarray(values)
    if getattr(values, "tz", None) or getattr(getattr(values, "dtype", None), "tz", None):
        # pyarrow 25 takes `Series.values` of these, which pandas 3.1 has deprecated.
        moments = pa.array(getattr(values, "dt", values).tz_convert(None), from_pandas=True)
        return moments.cast(pa.timestamp(moments.type.unit, "UTC"))
    if str(getattr(values, "dtype", "object")) != "object":
        return pa.array(values, from_pandas=True)
    objects = [None if _is_missing(value) else value for value in map(_item, values)]
    present = [value for value in objects if value is not None]
    if present and all(isinstance(value, Real | Decimal | np.bool_) for value in present):
        return _numbers(objects, present)
    if len({(isinstance(value, datetime), _is_zoned(value)) for value in present if isinstance(value, date)}) > 1:
        raise TypeError("dates and times, or times with and without a zone, stand in one column")
    return pa.array(objects)


def _numbers(objects: Iterable[Any], present: list[Any]) -> pa.Array:
    """Python's numbers in a type of their own, or as float64 where there are several types."""
    types = {type(value) for value in present}
    if len(types) == 1 and int not in types:
        return pa.array(list(objects))
    if all(isinstance(value, int) for value in present) and max(map(abs, present)) < 1 << 63:
        return pa.array([None if value is None else int(value) for value in objects], pa.int64())
    return pa.array([None if value is None else float(value) for value in objects], pa.float64())


def _item(value: Any) -> Any:
    """The value itself; a server of MLflow wraps each value of JSON in an array without dimensions."""
    return value.item() if isinstance(value, np.ndarray) and not value.ndim else value


def _is_missing(value: Any) -> bool:
    """Whether it is None, NaN, or pandas' NA or NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating | Decimal) and value != value


def _is_zoned(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_sequence(value: Any) -> bool:
    """Whether it has a value for each row; a text is one value."""
    return hasattr(value, "__len__") and hasattr(value, "__iter__") and not isinstance(value, str | bytes | Mapping)
