"""What the columns of a run must fulfil before rows are read, decided by footers and counts."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.data.columns import ResolvedColumns
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.errors import DataError, Problem

MAX_INT64 = 2**63 - 1
MAX_SECOND = MAX_INT64 // 1_000_000
"""The range of 64-bit microseconds in seconds before and after 1970."""


def require_even_files(tables: Mapping[str, InputTable], columns: ResolvedColumns) -> None:
    """The files of a table hold each column that is read in types that one type can hold; all have the role columns.

    Raises
    ------
    DataError
        With one problem for each column that the files hold in types without a common one, and for each column with a
        role that some files lack.
    """
    problems = list[Problem]()
    for name, read in columns.to_read().items():
        footers = tables[name].footers
        problems += [footers.uneven[column] for column in read if column in footers.uneven]
        for column in read:
            if column in footers.partial and column in columns.role_columns(name):
                without = len(footers.files) - footers.partial[column]
                problems.append(
                    Problem(
                        stage="read",
                        file=footers.path,
                        column=column,
                        found=f"{name}: {without:,} of {len(footers.files):,} files have no column {column!r}",
                        fix="write it in every file, or name the files that have it",
                    )
                )
    if problems:
        raise DataError(problems)


def require_representable(tables: Mapping[str, InputTable], columns: ResolvedColumns) -> None:
    """Whole numbers fit 64 bits with a sign, and times fit 64 bits of microseconds.

    The footers of most tables decide this without reading a row.

    Raises
    ------
    DataError
        With one problem for each column that has other values.
    """
    problems = list[Problem]()
    for name, read in columns.to_read().items():
        footers = tables[name].footers
        for column in read:
            if (limit := _limit(pc.field(column), footers.schema.field(column).type)) is None:
                continue
            beyond, words, fix = limit
            if rows := tables[name].source.count(beyond):
                problems.append(
                    Problem(
                        stage="read",
                        file=footers.path,
                        column=column,
                        rows=rows,
                        found=f"{name}: {column!r} is {words} in {rows:,} rows",
                        fix=fix,
                    )
                )
    if problems:
        raise DataError(problems)


def _limit(value: pc.Expression, type_: pa.DataType) -> tuple[pc.Expression, str, str] | None:
    """What a column of this type must not hold: as a condition, in words, and with the fix."""
    if type_ == pa.uint64():
        return value > pa.scalar(MAX_INT64, type_), f"above {MAX_INT64:,}", "write it as int64 or as text"
    if pa.types.is_timestamp(type_) and type_.unit in ("s", "ms"):
        most = MAX_SECOND if type_.unit == "s" else MAX_SECOND * 1_000
        first, last = (pa.scalar(ticks, pa.int64()).cast(type_) for ticks in (-most, most))
        return (value < first) | (value > last), "beyond the year 290,000", "write null where there is no time"
    return None
