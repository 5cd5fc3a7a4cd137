"""What the bytes and cells of a CSV file are, where Arrow alone would guess wrongly or fail without saying why."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.errors import DataError, Problem, listed

SIGNS = r"[$€£¥₹%]|\b(?:USD|EUR|GBP|CHF|JPY)\b"
"""Signs beside a number, which say its unit."""
WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
OTHER_FORMATS = {
    b"PK\x03\x04": ("an Excel workbook or a zip archive", "save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV"),
    b"PAR1": ("a Parquet file", "give it the ending .parquet, or remove `kind: csv`"),
    b"\x1f\x8b": ("a gzip file", "give it the ending .csv.gz, or decompress it"),
    b"%PDF": ("a PDF", "name a table"),
    b"ARROW1": ("an Arrow file", "write it as Parquet"),
    b"{": ("JSON", "write it as CSV or Parquet"),
    b"[{": ("JSON", "write it as CSV or Parquet"),
    b"SQLite": ("an SQLite database", "name it as `kind: sql` in the spec"),
}


def other_format(head: bytes) -> tuple[str, str] | None:
    """What a file is that begins with these bytes, and what to do; None if they are those of no known format.

    >>> other_format(b"PAR1...")[0]
    'a Parquet file'
    """
    if head[8:12] == b"DUCK":
        return "a DuckDB database", "name it as `kind: sql` in the spec"
    return next((known for start, known in OTHER_FORMATS.items() if head.startswith(start)), None)


def require_csv(name: str, path: str, head: bytes) -> None:
    """Refuses a file of another format whose name says CSV.

    Parameters
    ----------
    name
        The table, for messages.
    path
        The file.
    head
        Its first bytes.

    Raises
    ------
    DataError
        With the format that it has.
    """
    if known := other_format(head):
        found = f"{name}: it is {known[0]}, not CSV"
        raise DataError(Problem(stage="read", file=path, found=found, fix=known[1]))


def named(header: Sequence[str]) -> list[str]:
    """The names of a header, in which a column without a name is called by its place, as row numbers often are.

    >>> named(["", "age"])
    ['column_1', 'age']
    """
    names = list(header)
    for place, name in enumerate(header):
        if not name.strip():
            free = (f"column_{place + 1}{'_' * number}" for number in count())
            names[place] = next(one for one in free if one not in names)
    return names


def number_pattern(decimal: str) -> re.Pattern[str]:
    r"""The form of a number with groups of digits, or with a currency or percent sign.

    >>> bool(number_pattern(".").fullmatch("-$1,499.50")), bool(number_pattern(",").fullmatch("1.499,50 €"))
    (True, True)
    >>> bool(number_pattern(".").fullmatch("12,50"))
    False
    """
    group = "." if decimal == "," else ","
    digits = rf"(?:\d{{1,3}}(?:[{group}'\s\u00a0\u202f]\d{{3}})+|\d+)(?:{re.escape(decimal)}\d*)?"
    return re.compile(rf"\s*[+-]?\s*(?:{SIGNS})?\s*[+-]?\s*{digits}\s*(?:{SIGNS})?\s*")


def numbers_in(name: str, cells: pa.ChunkedArray, decimal: str, path: str) -> pa.ChunkedArray:
    """The numbers that texts hold, without signs and groups, as float64; null stays null.

    Parameters
    ----------
    name
        The column, for messages.
    cells
        Texts; shape (rows,).
    decimal
        The decimal point.
    path
        The file, for messages.

    Raises
    ------
    DataError
        Some texts hold no number.

    Examples
    --------
    >>> numbers_in("price", pa.chunked_array([["$1,499.00", "7 %", None]]), ".", "p.csv").to_pylist()
    [1499.0, 7.0, None]
    """
    pattern, rest = number_pattern(decimal), re.compile(rf"{SIGNS}|[{'.' if decimal == ',' else ','}'\s\u00a0\u202f]")
    texts = pc.unique(cells).drop_null().to_pylist()
    wrong = [text for text in texts if not pattern.fullmatch(text)]
    if wrong:
        rows = pc.sum(pc.is_in(cells, pa.array(wrong, pa.string()))).as_py()
        found = f"{rows:,} of {len(cells):,} cells hold no number: {listed(map(repr, wrong))}"
        fix = f"add them to `null_values`, or remove {name!r} from `types`"
        raise DataError(Problem(stage="read", file=path, column=name, rows=rows, found=found, fix=fix))
    numbers = pa.array([float(rest.sub("", text).replace(decimal, ".")) for text in texts], pa.float64())
    return pc.take(numbers, pc.index_in(cells, pa.array(texts, pa.string()), skip_nulls=True))


def losing_digits(texts: Iterable[str]) -> list[str]:
    """The texts of whole numbers that come back from a double with other digits, as ids above 2^53 do.

    A fraction or an exponent says that the number was measured, and that it may be rounded.

    >>> losing_digits(["10000000000000000000", "10000000000000000007", "9007199254740993", "0.1", "1.5e300"])
    ['10000000000000000007', '9007199254740993']
    """
    return [text for text in texts if WHOLE.fullmatch(text) and Decimal(repr(float(text))) != Decimal(text)]
