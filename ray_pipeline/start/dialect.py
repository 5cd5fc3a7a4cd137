"""How a CSV file is written: encoding, delimiter, header line, and what its cells say.

All is decided by the first megabytes; only the encoding is checked over the whole file.
"""

import codecs
import csv
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pyarrow.fs as pafs

from ray_pipeline.components.sources._cells import named, number_pattern, require_csv
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.start.cells import DECIMAL_COMMA, MISSING_NUMBER, NUMBER, Cells, read_cells

HEAD_BYTES, CHUNK_BYTES = 4 << 20, 16 << 20
MAX_RECORDS = 20_000
DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", " ": "spaces"}
MIN_COUNTED = 10
MIN_BELOW, MOSTLY = 10, 0.95
"""Rows below a row of units, and the share of them that are numbers."""
AMOUNTS = tuple(map(number_pattern, ".,"))
Records = Sequence[Sequence[str]]


def read_dialect(fs: pafs.FileSystem, path: str) -> Cells:
    """How the file is written.

    Raises
    ------
    DataError
        It is empty, it is no text, or it has no header.
    """
    head = _head(fs, path)
    require_csv("labels", path, head[:8])
    encoding, why = _encoding(fs, path)
    text = head.decode(encoding, errors="replace").lstrip("\ufeff")
    if not text.strip():
        raise DataError(_problem(path, "the file is empty", "name a file with a header and rows"))
    if "\0" in text:
        raise DataError(_problem(path, "the file holds bytes that are no text", "name a CSV file"))
    text += "" if len(head) == HEAD_BYTES else "\n"  # the last line is whole
    delimiter = _delimiter(text)
    records = _records(text, delimiter)
    header = _header(records, path)
    names = named(records[header])
    rows = [record for record in records[header + 1 :] if len(record) == len(names)]
    columns = list(zip(names, zip(*rows, strict=True), strict=True)) if rows else []
    _refuse_units(path, header + 2, [column for _, column in columns])
    cells = read_cells({name: [value for value in column if value != ""] for name, column in columns}, delimiter)
    found = Cells(doubts=cells.doubts, totals=cells.totals)
    if encoding != "utf-8":
        found.add("encoding", encoding, why)
    if delimiter != ",":
        found.add("delimiter", delimiter, f"the columns are separated by {DELIMITERS[delimiter]}")
    if header:
        found.add("skip_rows", header, f"the header ({', '.join(names[:3])}, ...) is in line {header + 1}")
    for name, value in cells.parameters.items():
        found.add(name, value, cells.reasons[name])
    return found


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

    *signs, space = DELIMITERS
    best = max(signs, key=evenness)
    if evenness(best)[0] > 0:
        return best
    return space if evenness(space)[0] == 1 else ","


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
    numbers = [value for value in records[header] if NUMBER.fullmatch(value)]
    above = records[header - 1] if header else []
    if numbers and len(above) > 1 and abs(len(above) - width) == 1 and not any(map(NUMBER.fullmatch, above)):
        found = f"line {header} has {len(above)} names ({', '.join(above[:3])}, ...), but the rows have {width} values"
        raise DataError(_problem(path, found, "name each column, or remove the separator that is too many"))
    if numbers and not _are_names(numbers, width):
        shown, fix = ", ".join(records[header][:5]), "write the names of the columns in the first line"
        raise DataError(_problem(path, f"there is no header: the first line with {width} values is {shown}", fix))
    return header


def _are_names(numbers: Sequence[str], width: int) -> bool:
    """Whether numbers in the header are names: years that rise, or the numbers of many columns, beside another name."""
    if len(numbers) == width or not all(map(str.isdecimal, numbers)):
        return False
    whole = [int(number) for number in numbers]
    steps = {second - first for first, second in pairwise(whole)}
    years = all(1800 <= number <= 2100 for number in whole)
    return min(steps, default=0) > 0 and (years or (steps == {1} and len(whole) >= MIN_COUNTED))


def _refuse_units(path: str, line: int, columns: Sequence[Sequence[str]]) -> None:
    """Refuses a first row that has no number in the columns of numbers: these would be read as texts.

    Raises
    ------
    DataError
        With the line and its cells.
    """
    first = [column[0].strip() for column in columns]
    if any(_is_number(cell) and _are_numbers(columns[place][1:]) for place, cell in enumerate(first)):
        return
    numeric = [place for place, column in enumerate(columns) if _are_numbers(column[1:])]
    units = [place for place in numeric if first[place] not in MISSING_NUMBER | {""}]
    others = [cell for place, cell in enumerate(first) if place not in numeric]
    alone = len(numeric) > 1 or all(cell in MISSING_NUMBER | {""} for cell in others)
    if not units or not alone or any(columns[place].count(columns[place][0]) > 1 for place in units):
        return
    found = (
        f"line {line} ({', '.join(first[:5])}{', ...' if len(first) > 5 else ''}) has no number in {len(numeric)}"
        f" column{'' if len(numeric) == 1 else 's'} where the other rows have numbers: it looks like a row of units"
    )
    raise DataError(_problem(path, found, f"remove line {line}, or write the units into the names of the columns"))


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether nearly all of at least a few cells are numbers, besides words for a missing value."""
    present = [cell for cell in cells if cell.strip() not in MISSING_NUMBER | {""}]
    return len(present) >= MIN_BELOW and sum(map(_is_number, present)) >= MOSTLY * len(present)


def _is_number(cell: str) -> bool:
    return any(form.fullmatch(cell.strip()) for form in (NUMBER, DECIMAL_COMMA, *AMOUNTS))


def _problem(path: str, found: str, fix: str) -> Problem:
    return Problem(stage="read", file=path, found=found, fix=fix)
