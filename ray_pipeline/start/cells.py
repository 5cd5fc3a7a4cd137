"""What the cells of a CSV file say: decimal sign, words for missing values, dates, codes, and numbers with signs."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ray_pipeline.components.sources._cells import losing_digits, number_pattern
from ray_pipeline.data.preconditions import MAX_INT64
from ray_pipeline.start.totals import MAX_SHARE, PATTERN
from ray_pipeline.start.words import COUNTRIES, DATE_PARTS, TIMES, words

NUMBER, DECIMAL_COMMA = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"), re.compile(r"[+-]?\d+(,\d+)?")
MISSING = {"NA", "N/A", "#N/A", "NULL", "?"}
MISSING_NUMBER = MISSING | {
    *("n/a", "na", "n.a.", "N.A.", "NaN", "nan", "null", "None", "none", "-", "--", ".", "missing", "unknown"),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NUM!"),
}
MIN_NUMBERS = 0.5
TOTAL = re.compile(PATTERN, re.IGNORECASE)
DAYS = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y"),
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DATE_LIKE = re.compile(
    r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}( .*)?|(\d{1,2}[- ])?[A-Z][a-z]+[- ]\d{1,2}.*|\d{1,2}[- ][A-Z].*"
)
SHORT_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}( \d\d?:\d\d.*)?")
ISO = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
DIGITS = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
ONE_GROUP = re.compile(r"\D*\d{1,3},\d{3}\D*")
CODE, COUNTRY = re.compile(r"0\d+"), re.compile(r"[A-Z]{2}")
Column = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The parameters of the CSV source that the cells ask for, each with its reason."""

    parameters: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    """Columns that can be read in two ways, and so stay text, with the ways."""
    totals: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Words for a total in columns of numbers or dates, where they count as missing."""

    def add(self, name: str, value: Any, why: str) -> None:
        """One more parameter."""
        self.parameters[name], self.reasons[name] = value, why


def read_cells(columns: Mapping[str, Column], delimiter: str) -> Cells:
    """What the values of the columns, without empty ones, say of the file.

    >>> read_cells({"zip": ["02138", "10115"], "price": ["$1,499", "$20"]}, ",").parameters["types"]
    {'zip': 'text', 'price': 'number'}
    """
    found, types, whys = Cells(), dict[str, str](), list[str]()
    columns, totals = _without_totals(columns)
    comma = next(filter(None, map(_decimal_comma, columns.values())), None)
    if comma and any(map(_has_decimal_points, columns.values())):
        comma = None
    if comma:
        found.add("decimal", ",", f"numbers are written like {comma}")
    decimal = "," if comma else "."
    for name, column in columns.items():
        type_, why = _type(name, column, decimal, delimiter)
        if type_:
            types[name] = type_
            whys.append(f"{name}: {why}")
        elif why:
            found.doubts[name] = why
    found.totals.update({name: said for name, said in totals.items() if types.get(name) != "text"})
    _add_missing(found, columns, types, decimal)
    formats = {"%Y%m%d"} if "time" in types.values() else set[str]()
    for name, column in columns.items():
        fitting = _date_formats(column)
        if len(fitting) == 1:
            formats.add(fitting[0])
        elif not fitting and _are_dates(column):
            found.doubts[name] = "its dates are written in several forms: write them in one"
        elif fitting:
            found.doubts[name] = (
                f"the forms {' and '.join(fitting)} both fit these dates: write the right one in `timestamps`"
            )
    if formats:
        found.add("timestamps", sorted(formats), "dates are written in this form")
    if types:
        found.add("types", types, "; ".join(whys))
    return found


def _without_totals(columns: Mapping[str, Column]) -> tuple[dict[str, Column], dict[str, tuple[str, ...]]]:
    """The columns, and the words for a total that were taken out of those of numbers or dates."""
    left, totals = dict(columns), dict[str, tuple[str, ...]]()
    for name, column in columns.items():
        said = {value for value in set(column) if TOTAL.fullmatch(value)}
        others = [value for value in column if value not in said]
        if said and others and len(column) - len(others) <= MAX_SHARE * len(column):
            written = [value.strip() for value in others if value.strip() not in MISSING_NUMBER]
            if any(all(map(is_one, written)) for is_one in (_is_number, _is_date)):
                left[name], totals[name] = others, tuple(sorted(said))
    return left, totals


def _is_number(value: str) -> bool:
    return any(form.fullmatch(value) for form in (NUMBER, *map(number_pattern, ".,")))


def _is_date(value: str) -> bool:
    return bool(ISO.fullmatch(value) or DATE_LIKE.fullmatch(value))


def _type(name: str, column: Column, decimal: str, delimiter: str) -> tuple[str, str]:
    """The type that the column should have though its values alone would not give it, and why.

    Where they can be read in two ways there is no type, but a reason; else there is neither.
    """
    present = [value for value in column if value.strip() not in MISSING_NUMBER]
    if not present:
        return "", ""
    if all(value.isdecimal() for value in present):
        codes = [value for value in present if CODE.fullmatch(value)]
        if codes and not words(name) & (DATE_PARTS | TIMES):
            return "text", f"codes such as {codes[0]} begin with a zero"
        if words(name) & TIMES and all(map(DIGITS.fullmatch, present)) and len(present) == len(column):
            return "time", f"dates written like {present[0]}"
        return _long(present)
    if words(name) & COUNTRIES and "NA" in column and all(map(COUNTRY.fullmatch, column)):
        return "text", "NA is a code, like the others of two letters"
    number, plain = number_pattern(decimal), DECIMAL_COMMA if decimal == "," else NUMBER
    signed = [value for value in present if not plain.fullmatch(value.strip())]
    if not signed:
        return _long(present)
    if not all(map(number.fullmatch, present)):
        return "", ""
    # A file whose cells are separated by commas has decimal points, so there a comma in a number is no fraction.
    if decimal == "." and delimiter != "," and all(map(ONE_GROUP.fullmatch, signed)):
        return "", f"{signed[0]} may be a fraction or have a group of digits: set `decimal`, or its type in `types`"
    return "number", f"numbers written like {signed[0].strip()}"


def _long(present: Column) -> tuple[str, str]:
    """Text for numbers of which a double would change whole ones, as ids above 64 bits are; and why."""
    if all(re.fullmatch(r"-?\d{1,19}", value) and abs(int(value)) <= MAX_INT64 for value in present):
        return "", ""
    lost = losing_digits(present)
    return ("text", f"a number would lose digits of {lost[0]}") if lost else ("", "")


def _add_missing(found: Cells, columns: Mapping[str, Column], types: Mapping[str, str], decimal: str) -> None:
    """The words for a missing value; a text keeps them."""
    number, missing = DECIMAL_COMMA if decimal == "," else NUMBER, Counter[str]()
    for name, column in columns.items():
        if name in types:
            words_in = column if types[name] == "number" else ()
            missing.update(value for value in words_in if value.strip() in MISSING_NUMBER)
            continue
        others = Counter(value for value in column if not number.fullmatch(value))
        numeric = len(column) - sum(others.values()) >= MIN_NUMBERS * len(column)
        if numeric and all(value.strip() in MISSING_NUMBER or not value.strip() for value in others):
            missing.update(others)
        else:
            missing.update({value: rows for value, rows in others.items() if value in MISSING})
    missing.update(said for words_in in found.totals.values() for said in words_in)
    if missing:
        shown = ", ".join(
            f"{value!r} in {rows:,} cell{'' if rows == 1 else 's'}" for value, rows in missing.most_common(3)
        )
        found.add("null_values", ["", *sorted(missing)], f"words for a missing value: {shown}")


def _decimal_comma(column: Column) -> str | None:
    """A value with a decimal comma, if all values are numbers with one; groups of three digits alone mean thousands."""
    number, written = number_pattern(","), [value for value in column if value.strip() not in MISSING_NUMBER]
    fractions = [value for value in written if "," in value]
    fraction = next((value for value in fractions if len(re.sub(r"\D", "", value.partition(",")[2])) != 3), None)
    return fraction if fraction and all(map(number.fullmatch, written)) else None


def _has_decimal_points(column: Column) -> bool:
    """Whether the values are numbers with a decimal point, some of which no group of three digits could be."""
    written = [value for value in column if value.strip() not in MISSING_NUMBER]
    pointed = any("." in value and len(value.partition(".")[2]) != 3 for value in written)
    return pointed and all(NUMBER.fullmatch(value) for value in written)


def _date_formats(column: Column) -> list[str]:
    """The forms that all values have, without those that read the same moments."""
    values = [value for value in column if value not in MISSING]
    if not values or not DATE_LIKE.fullmatch(values[0]):
        return []
    fitting, moments = list[str](), list[list[datetime]]()
    for format_ in (day + clock for day in DAYS for clock in CLOCKS):
        read = _moments(values, format_)
        if read and read not in moments:
            fitting.append(format_)
            moments.append(read)
    return fitting


def _are_dates(column: Column) -> bool:
    """Whether all values look like dates, though not all like those of ISO 8601."""
    values = [value for value in column if value not in MISSING]
    iso = sum(bool(ISO.fullmatch(value)) for value in values)
    return iso < len(values) and all(ISO.fullmatch(value) or SHORT_DATE.fullmatch(value) for value in values)


def _moments(values: Column, format_: str) -> list[datetime] | None:
    """The moments that the values mean in this form; None if one does not have it."""
    try:
        return [datetime.strptime(value, format_) for value in values]
    except ValueError:
        return None
