"""How numbers, metrics and foreign text look on the page.

Foreign text is shown, never interpreted. The template escapes it.
"""

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from ray_pipeline.byte_size import byte_size
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.duration import clock
from ray_pipeline.report.run_files import Estimate, number

Context = dict[str, Any]
"""Values for a template, under the names that it uses."""
PASSWORD = re.compile(r"(://[^/\s:@]*:)[^@\s/]+(?=@)")


def format_number(value: object) -> str:
    """Format a measured number with the digits that a reader can use; `–` if it is no finite number.

    >>> format_number(0.69161), format_number(-23.114), format_number(12345.6), format_number(0.00001234)
    ('0.6916', '−23.11', '12,346', '1.2e-05')
    >>> format_number(None), format_number(math.nan), format_number("0.7")
    ('–', '–', '–')
    """
    measured = number(value)
    if not math.isfinite(measured):
        return "–"
    size = abs(measured)
    spec = ".1e" if measured and size < 1e-4 else ".4f" if size < 10 else ".2f" if size < 1000 else ",.0f"
    return ("−" if measured < 0 else "") + format(size, spec)


def format_interval(estimate: Estimate) -> str:
    """Format the interval of an estimate; `–` if an end is not known.

    >>> format_interval(Estimate(value=0.69, low=0.68512, high=0.7012))
    '[0.6851, 0.7012]'
    >>> format_interval(Estimate(value=0.69, low=0.68512, high=math.nan))
    '–'
    """
    known = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    return f"[{format_number(estimate.low)}, {format_number(estimate.high)}]" if known else "–"


def format_count(value: object) -> str:
    """Format a number of rows.

    >>> format_count(210442), format_count(None)
    ('210,442', '–')
    """
    rows = number(value)
    return f"{round(rows):,}" if math.isfinite(rows) else "–"


def format_share(part: float, whole: float) -> str:
    """Format a share in per cent; one that is not zero never reads as zero.

    >>> format_share(123, 1000), format_share(1, 100_000), format_share(0, 7), format_share(1, 0)
    ('12.3 %', '< 0.1 %', '0.0 %', '–')
    """
    if not whole or not math.isfinite(part / whole):
        return "–"
    percent = 100 * part / whole
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def format_duration(seconds: object) -> str:
    """Format a number of seconds.

    >>> [format_duration(seconds) for seconds in (0.42, 41, 185, 7800, 302_400, None)]
    ['0.4 s', '41 s', '3 min 05 s', '2 h 10 min', '3.5 days', '–']
    """
    spent = number(seconds)
    if not math.isfinite(spent):
        return "–"
    return clock(spent) if spent < 172_800 else f"{spent / 86_400:.1f} days"


def format_bytes(value: object) -> str:
    """Format a number of bytes, in powers of ten.

    >>> format_bytes(812), format_bytes(8_100_000), format_bytes(None)
    ('812 B', '8.1 MB', '–')
    """
    num_bytes = number(value)
    return byte_size(num_bytes) if math.isfinite(num_bytes) else "–"


def better(metric: str) -> str:
    """Return `higher` or `lower`; an empty text if neither is better, or the metric is unknown.

    >>> better("auc"), better("log_loss"), better("no such metric")
    ('higher', 'lower', '')
    """
    try:
        choice = metric_of(metric)
    except ValueError:
        return ""
    return choice.better if choice.objective else ""


def explain_metric(metric: str) -> str:
    """Return what a metric measures, in a sentence without its full stop; an empty text if it is unknown.

    >>> explain_metric("auc"), explain_metric("no such metric")
    ('The chance that a random positive scores above a random negative, ties counting one half', '')
    """
    try:
        text = inspect.getdoc(type(metric_of(metric))) or ""
    except ValueError:
        return ""
    sentence = re.split(r"\.(?:\s|$)|[:;]\s", " ".join(text.split()), maxsplit=1)[0]
    return re.sub(r"\s*\([^()]*\d{4}\)", "", sentence)


def printable(value: object) -> object:
    """Write out the invisible characters of a text and mask passwords in URIs; leave other values as they are.

    >>> printable("a\\u202eb"), printable("s3://reader:secret@store/flights")
    ('a⟨U+202E⟩b', 's3://reader:•••@store/flights')
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = PASSWORD.sub(r"\1•••", value)
    return "".join(c if c.isprintable() or c in "\n\t" else f"⟨U+{ord(c):04X}⟩" for c in text)


def shorten(value: object, width: int = 160) -> str:
    """Cut a text to a width that fits into a table.

    >>> shorten("weather.pressure", 8)
    'weather…'
    """
    text = str(printable(str(value)))
    return text if len(text) <= width else f"{text[: width - 1]}…"


def join_names(values: Iterable[object]) -> str:
    """Join the columns of a partition, or the values of a slice.

    >>> join_names(["JFK", "UA"])
    'JFK × UA'
    """
    return " × ".join(shorten(value, 60) for value in values)


def name_slice(values: Mapping[str, object]) -> str:
    """Name a slice by its columns and their values.

    >>> name_slice({"origin": "JFK", "carrier": "UA"})
    'origin JFK and carrier UA'
    """
    return " and ".join(f"{shorten(column, 40)} {shorten(value, 60)}".strip() for column, value in values.items())
