"""Lengths of time as people write them in the spec: 90s, 10m, 6h, 1d, 2w."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


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
    return timedelta(seconds=float(match[1]) * UNITS[match[2]])


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


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str),
    Field(json_schema_extra={"type": "string"}),
]
