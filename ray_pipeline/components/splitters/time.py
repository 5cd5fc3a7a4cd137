"""Split by the moment of prediction: train, then validation, then test."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from ray_pipeline.components.splitters._base import DROPPED, TEST, TRAIN, VALIDATION, Parts, Splitter
from ray_pipeline.duration import Duration


def _parse_moment(written: object) -> datetime:
    """A date or time as a naive UTC datetime."""
    if isinstance(written, str):
        written = datetime.fromisoformat(written)
    if isinstance(written, date) and not isinstance(written, datetime):
        written = datetime(written.year, written.month, written.day)
    if not isinstance(written, datetime):
        raise ValueError(f"expected a date like 2013-09-01, got {written!r}")
    return written.replace(tzinfo=None) if written.tzinfo is None else written.astimezone(UTC).replace(tzinfo=None)


def _write_moment(moment: datetime) -> str:
    """The date alone at midnight, else date and time, in ISO format."""
    midnight = datetime(moment.year, moment.month, moment.day)
    return moment.date().isoformat() if moment == midnight else moment.isoformat()


Moment = Annotated[
    datetime,
    BeforeValidator(_parse_moment),
    PlainSerializer(_write_moment, return_type=str),
    Field(json_schema_extra={"type": "string"}),
]


class Time(Splitter):
    """Two cut dates (UTC); a row at a cut goes to the later part.

    The rows of the last `gap` before each cut are dropped and counted.
    """

    by: Literal["time"] = "time"
    validation: Moment
    test: Moment
    gap: Duration = timedelta(0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.validation >= self.test:
            raise ValueError(
                f"validation ({_write_moment(self.validation)}) must be before test ({_write_moment(self.test)})"
            )
        return self

    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row, from its time alone."""
        time = rows["time"].cast(pa.timestamp("us"), safe=False).to_numpy()
        cuts = np.array([self.validation, self.test], "datetime64[us]")
        part: Parts = np.array([TRAIN, VALIDATION, TEST], np.int8)[np.searchsorted(cuts, time, side="right")]
        for cut in cuts:
            part[(time >= cut - np.timedelta64(self.gap)) & (time < cut)] = DROPPED
        return part
