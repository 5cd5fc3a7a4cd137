"""The values that a database's driver gives, as Arrow's: moments in UTC, NaN as null, and no value changed unsaid."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.duration import EPOCH, PER_SECOND
from ray_pipeline.errors import DataError, Problem, listed

POSTGRESQL_TIMES = {
    1082: "PYDATE",
    1083: "PYTIME",
    1114: "PYDATETIME",
    1184: "PYDATETIMETZ",
    1186: "PYINTERVAL",
    1266: "PYTIME",
}
"""Types of PostgreSQL that Python holds in part, by their number, and the functions of psycopg2 that read them."""
FIRST_DAY, LAST_DAY = ((one - EPOCH.date()).days for one in (date.min, date.max))
"""Days since 1970 that Python has."""
UTC_MOMENTS = pa.timestamp("us", "UTC")


class Unheld:
    """A value that Python has none for, such as a day before the year 1, or one without end."""

    def __init__(self, text: str) -> None:
        self.text = text


def keep_unheld(connection: Any) -> None:
    """Makes a connection of psycopg2 give `Unheld`; else it fails without a column, or gives 9999-12-31 for infinity.

    Parameters
    ----------
    connection
        Of psycopg2; of another driver it stays as it is.
    """
    if not type(connection).__module__.startswith("psycopg2"):
        return
    from psycopg2 import extensions

    for number, reader in POSTGRESQL_TIMES.items():
        read = partial(_held, getattr(extensions, reader))
        extensions.register_type(extensions.new_type((number,), reader, read), connection)


def _held(read: Callable[[str | None, Any], Any], text: str | None, cursor: Any) -> Any:
    if text is None:
        return None
    try:
        return Unheld(text) if text.endswith("infinity") else read(text, cursor)
    except Exception:
        return Unheld(text)


def as_table(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows as a table.

    Parameters
    ----------
    name
        The table's name, for messages.
    columns
        Names of the columns.
    rows
        The values of each row, as the driver gives them.

    Raises
    ------
    DataError
        A column has values that Python or Arrow does not hold.
    """
    values = list(zip(*rows, strict=True)) if rows else [() for _ in columns]
    return pa.table({column: _array(name, column, one) for column, one in zip(columns, values, strict=True)})


def require_held(name: str, table: pa.Table) -> pa.Table:
    """The table itself, whose days and moments are of the years 1 to 9999, which infinity is not.

    Raises
    ------
    DataError
        A column has others.
    """
    for column, values in zip(table.column_names, table.columns, strict=True):
        if not (pa.types.is_date32(values.type) or pa.types.is_timestamp(values.type)):
            continue
        ticks = values.cast(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
        per_day = 1 if pa.types.is_date32(values.type) else 86_400 * PER_SECOND[values.type.unit]
        most = (1 << ticks.type.bit_width - 1) - 1
        first, last = max(FIRST_DAY * per_day, 1 - most), min((LAST_DAY + 1) * per_day, most) - 1
        odd = pc.or_(pc.less(ticks, pa.scalar(first, ticks.type)), pc.greater(ticks, pa.scalar(last, ticks.type)))
        if pc.any(odd).as_py():
            endless = {most: "infinity", -most: "-infinity"}
            unit = "D" if pa.types.is_date32(values.type) else values.type.unit
            numbers = np.asarray(ticks.filter(odd)).astype(np.int64)
            texts = numbers.astype(f"datetime64[{unit}]").astype(str)
            known = [endless.get(int(one), text) for one, text in zip(numbers, texts.tolist(), strict=True)]
            rest = [None] * (len(values) - len(known))
            raise unheld(name, column, [*map(Unheld, known), *rest], ValueError("no value of Python"))
    return table


def _array(name: str, column: str, values: Sequence[Any]) -> pa.Array:
    first = next((value for value in values if value is not None), None)
    try:
        if isinstance(first, Decimal):
            return pa.array([None if value is None or value != value else value for value in values])
        zoned = isinstance(first, datetime) and first.tzinfo is not None
        return pa.array(values, UTC_MOMENTS if zoned else None)
    except (pa.ArrowException, AttributeError, TypeError, ValueError, OverflowError, ArithmeticError) as error:
        raise unheld(name, column, values, error) from None


def unheld(name: str, column: str, values: Sequence[Any], error: Exception) -> DataError:
    """The error that a column has values that nothing here holds."""
    odd = [text for value in values if (text := _odd(value)) is not None]
    why = (
        f"in {len(odd):,} of {len(values):,} rows: {listed(dict.fromkeys(odd))}" if odd else str(error).splitlines()[0]
    )
    found = f"{name}: {column!r} has values that Arrow cannot hold{' ' if odd else ': '}{why}"
    fix = f"cast it in the query, as in CAST({column} AS TEXT)"
    if odd:
        fix += f", or make such values null: NULLIF({column}, '{odd[0]}')"
    return DataError(Problem(stage="read", column=column, rows=len(odd) or None, found=found, fix=fix))


def _odd(value: Any) -> str | None:
    """The text of a value that only the database has."""
    if isinstance(value, Unheld):
        return value.text
    return str(value) if isinstance(value, Decimal) and value.is_infinite() else None
