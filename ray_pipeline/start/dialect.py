"""How a CSV file is written: encoding, delimiter, decimal sign, header line, words for missing values, date formats.

All is decided by the first megabytes; only the encoding is checked over the whole file.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow.fs as pafs

from ray_pipeline.errors import DataError, Problem

HEAD_BYTES, CHUNK_BYTES = 4 << 20, 16 << 20
MAX_RECORDS = 20_000
DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
NUMBER, DECIMAL_COMMA = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"), re.compile(r"[+-]?\d+(,\d+)?")
MISSING = {"NA", "N/A", "#N/A", "NULL", "?"}
MISSING_NUMBER = MISSING | {"n/a", "na", "NaN", "nan", "null", "None", "none", "-", "--", ".", "missing", "unknown"}
MIN_NUMBERS = 0.5
DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S")
Records = Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The parameters of the CSV source that differ from its defaults, each with its reason."""

    parameters: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def read_dialect(fs: pafs.FileSystem, path: str) -> Dialect:
    """How the file is written.

    Raises
    ------
    DataError
        It is empty, or it has no header.
    """
    found = Dialect()
    encoding, why = _encoding(fs, path)
    if encoding != "utf-8":
        _add(found, "encoding", encoding, why)
    text = _head(fs, path).decode(encoding, errors="replace").lstrip("\ufeff")
    if not text.strip():
        raise DataError(_problem(path, "the file is empty", "name a file with a header and rows"))
    delimiter = _delimiter(text)
    if delimiter != ",":
        _add(found, "delimiter", delimiter, f"the columns are separated by {DELIMITERS[delimiter]}")
    records = _records(text, delimiter)
    header = _header(records, path)
    if header:
        first = ", ".join(records[header][:3])
        _add(found, "skip_rows", header, f"the header ({first}, ...) is in line {header + 1}")
    width = len(records[header])
    rows = [record for record in records[header + 1 :] if len(record) == width]
    _read_values(found, [[value for value in column if value != ""] for column in zip(*rows, strict=True)])
    return found


def _read_values(found: Dialect, columns: Sequence[Sequence[str]]) -> None:
    """Adds what the values say: decimal sign, words for missing values, date formats."""
    commas = [column for column in columns if _has_decimal_comma(column)]
    if commas:
        sample = next(value for value in commas[0] if "," in value)
        _add(found, "decimal", ",", f"numbers are written like {sample}")
    number = DECIMAL_COMMA if commas else NUMBER
    missing = Counter[str]()
    for column in columns:
        others = Counter(value for value in column if not number.fullmatch(value))
        numeric = len(column) - sum(others.values()) >= MIN_NUMBERS * len(column)
        if numeric and all(value.strip() in MISSING_NUMBER or not value.strip() for value in others):
            missing.update(others)
        else:
            missing.update({value: rows for value, rows in others.items() if value in MISSING})
    if missing:
        shown = ", ".join(f"{value!r} in {rows:,} cells" for value, rows in missing.most_common(3))
        _add(found, "null_values", ["", *sorted(missing)], f"words for a missing value: {shown}")
    if formats := sorted({format_ for column in columns if (format_ := _date_format(column))}):
        _add(found, "timestamps", formats, "dates are written in this form")


def _encoding(fs: pafs.FileSystem, path: str) -> tuple[str, str]:
    """The encoding of the whole file, and its reason."""
    decoder, high = codecs.getincrementaldecoder("utf-8")(), False
    with fs.open_input_stream(path) as stream:
        head = chunk = stream.read(HEAD_BYTES)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16", "the file starts with the mark of UTF-16"
        for place, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            if len(head) > 1 and head[place:4_000:2].count(0) > 0.5 * len(head[place:4_000:2]):
                return name, "every second byte is zero"
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = stream.read(CHUNK_BYTES)
            decoder.decode(b"", final=True)
            return "utf-8", ""
        except UnicodeDecodeError as error:
            wrong = error.object[error.start : error.start + 1].hex()
            while chunk and not high:
                high = any(byte in chunk for byte in range(0x80, 0xA0))
                chunk = stream.read(CHUNK_BYTES)
    return "cp1252" if high else "latin-1", f"the byte 0x{wrong} is not UTF-8"


def _head(fs: pafs.FileSystem, path: str) -> bytes:
    with fs.open_input_stream(path) as stream:
        return bytes(stream.read(HEAD_BYTES))


def _records(text: str, delimiter: str) -> list[list[str]]:
    """The first records, empty lines included; the last line may be cut and is left out of a long text."""
    lines = text.splitlines(keepends=True)
    whole = lines if len(lines) < 3 or lines[-1].endswith(("\n", "\r")) else lines[:-1]
    csv.field_size_limit(HEAD_BYTES)
    return list(csv.reader(whole[:MAX_RECORDS], delimiter=delimiter))


def _delimiter(text: str) -> str:
    """The sign that cuts the most records into the same number of fields."""

    def evenness(delimiter: str) -> tuple[float, int]:
        counts = Counter(len(record) for record in _records(text[:200_000], delimiter)[:500] if record)
        width, records = counts.most_common(1)[0] if counts else (0, 0)
        return (records / counts.total(), width) if width > 1 else (0.0, 0)

    best = max(DELIMITERS, key=evenness)
    return best if evenness(best)[0] > 0 else ","


def _header(records: Records, path: str) -> int:
    """The line of the header, counted from 0: the first one that has as many names as the rows have values.

    Raises
    ------
    DataError
        The first line of that width has numbers where the rows have numbers, so it is a row.
    """
    width = Counter(len(record) for record in records if record).most_common(1)[0][0]
    places = [place for place, record in enumerate(records[:50]) if len(record) == width]
    full = (place for place in places if sum(map(bool, records[place])) >= max(width - 1, 1))
    header = next(full, places[0])
    if any(NUMBER.fullmatch(value) for value in records[header]):
        shown = ", ".join(records[header][:5])
        fix = "write the names of the columns in the first line"
        raise DataError(_problem(path, f"there is no header: the first line with {width} values is {shown}", fix))
    return header


def _has_decimal_comma(column: Sequence[str]) -> bool:
    """Whether the values are numbers with a decimal comma; groups of three digits alone mean thousands."""
    written = [value for value in column if value.strip() not in MISSING_NUMBER]
    fractions = [value.partition(",")[2] for value in written if "," in value]
    return (
        bool(fractions)
        and any(len(fraction) != 3 for fraction in fractions)
        and all(DECIMAL_COMMA.fullmatch(value) for value in written)
    )


def _date_format(column: Sequence[str]) -> str | None:
    """The one form of date that all values have; None if there is none or more than one."""
    values = [value for value in column if value not in MISSING]
    if not values or not re.match(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}", values[0]):
        return None
    formats = [date + clock for date in DATES for clock in CLOCKS if _parses(values[0], date + clock)]
    fitting = [one for one in formats if all(_parses(value, one) for value in values)]
    return fitting[0] if len(fitting) == 1 else None


def _parses(value: str, format_: str) -> bool:
    try:
        datetime.strptime(value, format_)
    except ValueError:
        return False
    return True


def _add(found: Dialect, name: str, value: Any, why: str) -> None:
    found.parameters[name], found.reasons[name] = value, why


def _problem(path: str, found: str, fix: str) -> Problem:
    return Problem(stage="read", file=path, found=found, fix=fix)
