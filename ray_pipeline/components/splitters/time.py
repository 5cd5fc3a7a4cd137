"""Split by the moment of prediction: train before the first cut, validation before the second, test after it."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from ray_pipeline.components.splitters._base import DROPPED, TEST, TRAIN, VALIDATION, Parts, Splitter
from ray_pipeline.duration import Duration


def _moment(written: object) -> datetime:
    if isinstance(written, str):
        written = datetime.fromisoformat(written)
    if isinstance(written, date) and not isinstance(written, datetime):
        written = datetime(written.year, written.month, written.day)
    if not isinstance(written, datetime):
        raise ValueError(f"expected a date like 2013-09-01, got {written!r}")
    return written.replace(tzinfo=None) if written.tzinfo is None else written.astimezone(UTC).replace(tzinfo=None)


def _written(moment: datetime) -> str:
    return (
        moment.date().isoformat() if moment == datetime(moment.year, moment.month, moment.day) else moment.isoformat()
    )


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(_written, return_type=str),
    Field(json_schema_extra={"type": "string"}),
]


class Time(Splitter):
    """Cut dates (UTC); a row at a cut goes to the later part; the last `gap` before each cut is dropped and counted."""

    by: Literal["time"] = "time"
    validation: Moment
    test: Moment
    gap: Duration = timedelta(0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.validation >= self.test:
            raise ValueError(f"validation ({_written(self.validation)}) must be before test ({_written(self.test)})")
        return self

    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row, from its time alone."""
        time = rows["time"].cast(pa.timestamp("us"), safe=False).to_numpy()
        cuts = np.array([self.validation, self.test], "datetime64[us]")
        part: Parts = np.array([TRAIN, VALIDATION, TEST], np.int8)[np.searchsorted(cuts, time, side="right")]
        for cut in cuts:
            part[(time >= cut - np.timedelta64(self.gap)) & (time < cut)] = DROPPED
        return part
