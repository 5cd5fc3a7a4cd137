"""What the columns of a run must fulfil before rows are read, decided by footers and counts."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.sources._base import Footers, Source
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.spec import Spec

MAX_INT64 = 2**63 - 1
FIRST_SECOND, LAST_SECOND = -9_223_286_400, 9_223_286_400
"""The range of 64-bit nanoseconds in seconds since 1970, in whole days."""


def require_even_files(footers: Mapping[str, Footers], read: Mapping[str, Sequence[str]]) -> None:
    """Every file of a table has the columns that are read, in one type.

    Parameters
    ----------
    footers
        By table.
    read
        The columns that are read, by table.

    Raises
    ------
    DataError
        With one problem for each column that some files lack or have in another type.
    """
    uneven = [
        footers[table].uneven[column] for table in read for column in read[table] if column in footers[table].uneven
    ]
    if uneven:
        raise DataError(uneven)


def require_keys_and_times(source: Source, spec: Spec) -> None:
    """Every label row has its key and its time.

    Raises
    ------
    DataError
        With the number of rows in which one of them is null or NaN.
    """
    labels, problems = spec.features.labels, list[Problem]()
    for role, column in (("key", labels.key), ("time", labels.time)):
        rows = source.count(pc.field(column).is_null(nan_is_null=True)) if column else 0
        if rows:
            file, line = spec.place(f"features.labels.{role}")
            problems.append(
                Problem(
                    file=file,
                    line=line,
                    key=f"features.labels.{role}",
                    stage="read",
                    column=column,
                    rows=rows,
                    found=f"{column!r} is null in {rows:,} rows",
                    fix=f"each label row needs its {role}; correct the rows, or leave `{role}` out",
                )
            )
    if problems:
        raise DataError(problems)


def require_representable(
    sources: Mapping[str, Source], footers: Mapping[str, Footers], read: Mapping[str, Sequence[str]]
) -> None:
    """Whole numbers fit 64 bits with a sign, and times fit 64 bits of nanoseconds.

    The footers of most tables decide this without reading a row.

    Raises
    ------
    DataError
        With one problem for each column that has other values.
    """
    problems = list[Problem]()
    for table, columns in read.items():
        for column in columns:
            type_ = footers[table].schema.field(column).type
            if (limit := _limit(pc.field(column), type_)) is None:
                continue
            beyond, words, fix = limit
            if rows := sources[table].count(beyond):
                problems.append(
                    Problem(
                        stage="read",
                        file=footers[table].path,
                        column=column,
                        rows=rows,
                        found=f"{table}: {column!r} is {words} in {rows:,} rows",
                        fix=fix,
                    )
                )
    if problems:
        raise DataError(problems)


def _limit(value: pc.Expression, type_: pa.DataType) -> tuple[pc.Expression, str, str] | None:
    """What a column of this type must not hold: as a condition, in words, and with the fix."""
    if type_ == pa.uint64():
        return value > pa.scalar(MAX_INT64, type_), f"above {MAX_INT64:,}", "write it as int64 or as text"
    if pa.types.is_timestamp(type_) and type_.unit != "ns":
        first, last = (pa.scalar(second, pa.timestamp("s", type_.tz)) for second in (FIRST_SECOND, LAST_SECOND))
        outside = (value < first) | (value > last)
        return outside, "outside 1677-09-22 to 2262-04-11", "write null where there is no time"
    return None
