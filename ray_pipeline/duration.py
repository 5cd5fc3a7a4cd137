"""Lengths of time as people write them in the spec (90s, 10m, 6h, 1d, 2w), and as Arrow counts them."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many of Arrow's units of time make a second."""
EPOCH = datetime(1970, 1, 1)
STEP_UNIT: Final = "s"
"""Steps (`time_unit: step`) count as this unit since 1970 wherever times are compared."""
STEP_US = 1_000_000
"""A step in microseconds."""
DAY_US = 86_400_000_000
MAX_SECONDS = 10_000 * 365.25 * 86_400


def parse_duration(written: object) -> timedelta:
    """The length of time that a text means.

    Raises
    ------
    ValueError
        With the accepted form, if the text is no length of time.

    Examples
    --------
    >>> parse_duration("1.5h")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(written, timedelta):
        return written
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", written.strip()) if isinstance(written, str) else None
    if not match:
        raise ValueError(f"expected a length of time like 90s, 10m, 6h, 1d or 2w, got {written!r}")
    seconds = float(match[1]) * UNITS[match[2]] if len(match[1]) < 100 else MAX_SECONDS + 1
    if seconds > MAX_SECONDS:
        raise ValueError(f"expected a length of time of at most 10,000 years, got {written!r:.50}")
    return timedelta(seconds=seconds)


def write_duration(length: timedelta) -> str:
    """The length of time in the largest unit that divides it.

    Examples
    --------
    >>> write_duration(timedelta(hours=6)), write_duration(timedelta(minutes=90))
    ('6h', '90m')
    """
    seconds = length.total_seconds()
    for unit, size in reversed(UNITS.items()):
        if seconds % size == 0 and (seconds or unit == "s"):
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


def clock(seconds: float) -> str:
    """Return a measured time for people.

    >>> clock(0.42), clock(41.2), clock(185), clock(7800)
    ('0.4 s', '41 s', '3 min 05 s', '2 h 10 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str),
    Field(json_schema_extra={"type": "string"}),
]


def _duration_or_steps(written: object) -> timedelta | int:
    if isinstance(written, int) and not isinstance(written, bool):
        if not 0 <= written < 2**53:
            raise ValueError(f"expected a number of steps from 0 to 2^53, got {written!r:.50}")
        return written
    return parse_duration(written)


DurationOrSteps = Annotated[
    timedelta | int,
    BeforeValidator(_duration_or_steps),
    PlainSerializer(lambda length: length if isinstance(length, int) else write_duration(length)),
    Field(json_schema_extra={"type": ["string", "integer"]}),
]
"""A length of time, or a number of steps where the times are steps."""


def as_timedelta(length: timedelta | int) -> timedelta:
    """The length in the unit of times; a step counts as `STEP_UNIT`.

    Examples
    --------
    >>> as_timedelta(90)
    datetime.timedelta(seconds=90)
    """
    return timedelta(seconds=length) if isinstance(length, int) else length
