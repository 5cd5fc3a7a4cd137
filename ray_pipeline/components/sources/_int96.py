"""INT96, the times of older writers: read in microseconds, which hold every year, or refused where digits would go."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ray_pipeline.errors import DataError, Problem

UNIT = "us"
"""Arrow reads INT96 as nanoseconds, if nobody asks for another unit, and wraps the years after 2262."""


def int96_columns(metadata: pq.FileMetaData) -> list[str]:
    """The columns of a file that hold INT96; not those within lists and structs."""
    leaves = (metadata.schema.column(place) for place in range(metadata.num_columns))
    return [leaf.path for leaf in leaves if leaf.physical_type == "INT96" and leaf.path == leaf.name]


def refuse_finer(file: str, in_us: pa.Table, in_ns: pa.Table) -> None:
    """Refuses times with digits below the microsecond, which nobody would miss in the table that is read.

    Parameters
    ----------
    file
        For the message.
    in_us, in_ns
        The same INT96 columns in both units. Nanoseconds wrap beyond 2262, but their last digits are right.

    Raises
    ------
    DataError
        A time has such digits.
    """
    for name in in_us.column_names:
        micro, nano = (_ticks(one[name]) for one in (in_us, in_ns))
        if rows := int(np.count_nonzero(nano - micro * 1_000)):
            raise DataError(
                Problem(
                    stage="read",
                    file=file,
                    column=name,
                    rows=rows,
                    found=f"{name!r} is INT96 with digits below the microsecond in {rows:,} rows of one piece",
                    fix="write it as timestamp in nanoseconds, or leave it out of `columns`",
                )
            )


def _ticks(times: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(times.cast(pa.int64()), 0))
