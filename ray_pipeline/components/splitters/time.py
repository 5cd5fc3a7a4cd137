"""Split by the moment of prediction: train, then validation, then test. Moments are dates, or steps."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from ray_pipeline.components.splitters._base import DROPPED, TEST, TRAIN, VALIDATION, Parts, Splitter
from ray_pipeline.duration import STEP_UNIT, DurationOrSteps, as_timedelta

MAX_STEP = 2**53


def _parse_moment(written: object) -> datetime | int:
    """A date or time as a naive UTC datetime; a number of steps as it is."""
    if isinstance(written, int) and not isinstance(written, bool):
        if abs(written) >= MAX_STEP:
            raise ValueError(f"expected a step between -2^53 and 2^53, got {written!r:.50}")
        return written
    if isinstance(written, str):
        written = datetime.fromisoformat(written)
    if isinstance(written, date) and not isinstance(written, datetime):
        written = datetime(written.year, written.month, written.day)
    if not isinstance(written, datetime):
        raise ValueError(f"expected a date like 2013-09-01, got {written!r}")
    return written.replace(tzinfo=None) if written.tzinfo is None else written.astimezone(UTC).replace(tzinfo=None)


def write_moment(moment: datetime | int) -> str | int:
    """The date alone at midnight, else date and time, in ISO format; a step as it is."""
    if isinstance(moment, int):
        return moment
    midnight = datetime(moment.year, moment.month, moment.day)
    return moment.date().isoformat() if moment == midnight else moment.isoformat()


Moment = Annotated[
    datetime | int,
    BeforeValidator(_parse_moment),
    PlainSerializer(write_moment),
    Field(json_schema_extra={"type": ["string", "integer"]}),
]


def as_datetime64(moment: datetime | int) -> np.datetime64:
    """The moment in microseconds; a step counts as `STEP_UNIT`."""
    return (
        np.datetime64(moment, STEP_UNIT).astype("datetime64[us]")
        if isinstance(moment, int)
        else np.datetime64(moment, "us")
    )


class Time(Splitter):
    """Two cut dates (UTC), or steps; a row at a cut goes to the later part.

    The rows of the last `gap` before each cut are dropped and counted.
    """

    by: Literal["time"] = "time"
    """The kind of split."""
    validation: Moment
    """The first moment of the validation part."""
    test: Moment
    """The first moment of the test part."""
    gap: DurationOrSteps = timedelta(0)
    """The rows of this time before each cut are dropped and counted."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if as_datetime64(self.validation) >= as_datetime64(self.test):
            raise ValueError(
                f"validation ({write_moment(self.validation)}) must be before test ({write_moment(self.test)})"
            )
        return self

    def part_of(self, rows: pa.Table) -> Parts:
        """The part of each row, from its time alone."""
        time = rows["time"].cast(pa.timestamp("us"), safe=False).to_numpy()
        cuts = np.array([as_datetime64(self.validation), as_datetime64(self.test)])
        part: Parts = np.array([TRAIN, VALIDATION, TEST], np.int8)[np.searchsorted(cuts, time, side="right")]
        for cut in cuts:
            part[(time >= cut - np.timedelta64(as_timedelta(self.gap))) & (time < cut)] = DROPPED
        return part
