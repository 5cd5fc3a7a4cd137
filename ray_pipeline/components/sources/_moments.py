"""A moment of a table's history, as a spec writes it: a date, or date and time; without a zone it is UTC."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _parse(written: object) -> object:
    if isinstance(written, str):
        try:
            written = datetime.fromisoformat(written)
        except ValueError:
            raise ValueError(f"expected a date or a time such as 2026-01-31T12:00:00Z, got {written!r}") from None
    if isinstance(written, date) and not isinstance(written, datetime):
        written = datetime.combine(written, time())
    if isinstance(written, datetime):
        return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)
    raise ValueError(f"expected a date or a time, got {written!r}")


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since 1970, as the logs of tables count them."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


PastMoment = Annotated[
    datetime,
    BeforeValidator(_parse),
    PlainSerializer(lambda moment: moment.isoformat(), return_type=str),
    Field(json_schema_extra={"type": "string"}),
]
