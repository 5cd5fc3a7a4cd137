"""A CSV file is read as it is written: encoding, delimiter, decimal sign, header line, missing values, dates."""

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ray_pipeline.components.sources._base import source_of
from ray_pipeline.errors import DataError
from ray_pipeline.start.table import StartTable

NAMES = ["Zoë", "Åsa", "Jörg", "Ann"]


def text(delimiter: str = ",", decimal: str = ".", rows: int = 200) -> str:
    """A header and rows with a name, a price with a fraction and a number."""
    lines = [delimiter.join(["name", "price", "count"])]
    for row in range(rows):
        price = f"{row}.{row % 100:02}".replace(".", decimal)
        lines.append(delimiter.join([NAMES[row % 4], price, str(row * 1000)]))
    return "\n".join(lines) + "\n"


def opened(folder: Path, content: str | bytes, encoding: str = "utf-8") -> StartTable:
    file = folder / "prices.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return StartTable.open("labels", str(file), folder)


WRITTEN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "plain": (text(), "utf-8", {}),
    "semicolons and decimal commas": (text(";", ","), "utf-8", {"delimiter": ";", "decimal": ","}),
    "tabs": (text("\t"), "utf-8", {"delimiter": "\t"}),
    "bars": (text("|"), "utf-8", {"delimiter": "|"}),
    "byte order mark": (text(), "utf-8-sig", {}),
    "UTF-16": (text(), "utf-16", {"encoding": "utf-16"}),
    "UTF-16 without mark": (text(";"), "utf-16-le", {"encoding": "utf-16-le", "delimiter": ";"}),
    "latin-1": (text(), "latin-1", {"encoding": "latin-1"}),
    "header in the second line": ("Report of May\n" + text(), "utf-8", {"skip_rows": 1}),
    "spaces": (text(" "), "utf-8", {"delimiter": " "}),
    "title in a row of its own": ("Report;;\n" + text(";"), "utf-8", {"delimiter": ";", "skip_rows": 1}),
}


@pytest.mark.parametrize(("content", "encoding", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_every_way_to_write_a_file_gives_the_same_rows(
    tmp_path: Path, content: str, encoding: str, expected: dict[str, Any]
) -> None:
    table = opened(tmp_path, content, encoding)
    assert table.dialect.parameters == expected
    assert set(table.dialect.reasons) == set(expected)
    assert table.footers.schema == pa.schema({"name": pa.string(), "price": pa.float64(), "count": pa.int64()})
    first, second = table.sample.slice(0, 2).to_pylist()
    assert first == {"name": "Zoë", "price": 0.0, "count": 0}
    assert second == {"name": "Åsa", "price": 1.01, "count": 1000}


def test_words_for_missing_values_are_null_and_the_column_stays_a_number(tmp_path: Path) -> None:
    content = "age,city\n" + "".join(
        f"{'NA' if row % 5 == 0 else row},{'?' if row % 7 == 0 else 'Rome'}\n" for row in range(70)
    )
    table = opened(tmp_path, content)
    assert table.dialect.parameters == {"null_values": ["", "?", "NA"]}
    assert table.sample["age"].type == pa.int64() and table.sample["age"].null_count == 14
    assert table.sample["city"].null_count == 10


def test_dates_of_a_form_that_only_one_pattern_reads_are_times(tmp_path: Path) -> None:
    content = "day,moment\n" + "".join(
        f"{1 + row % 28:02}.{1 + row % 12:02}.2024,12/{1 + row % 31:02}/2024\n" for row in range(99)
    )
    table = opened(tmp_path, content)
    assert table.dialect.parameters["timestamps"] == ["%d.%m.%Y", "%m/%d/%Y"]
    assert table.sample["day"][1].as_py() == datetime(2024, 2, 2)


def test_a_date_that_two_patterns_read_stays_a_text(tmp_path: Path) -> None:
    table = opened(tmp_path, "day,n\n" + "".join(f"0{1 + row % 9}/0{1 + row % 8}/2024,{row}\n" for row in range(99)))
    assert table.dialect.parameters == {}
    assert table.sample["day"].type == pa.string()


def test_numbers_with_groups_of_three_digits_are_no_decimal_commas(tmp_path: Path) -> None:
    table = opened(tmp_path, "n;p\n" + "".join(f"{row};{row},250\n" for row in range(1, 99)))
    assert table.dialect.parameters == {"delimiter": ";"}


CODES: dict[str, tuple[str, list[str], str | None, Any]] = {
    "a leading zero": ("zip", ["02138", "10115"], "text", "02138"),
    "NA among codes of countries": ("country", ["NA", "DE"], "text", "NA"),
    "NA among other words": ("state", ["NA", "Bavaria"], None, None),
    "a zero before the number of a month": ("month", ["01", "12"], None, 1),
    "a currency and groups": ("price", ["$1,499.00", "$20.50"], "number", 1499.0),
    "a mark among amounts": ("cost", ["$1,499.00", "-"], "number", 1499.0),
    "a percent sign": ("share", ["25%", "7 %"], "number", 25.0),
    "groups that are no fraction": ("people", ["1,250,000", "800"], "number", 1_250_000.0),
    "eight digits": ("date", ["20240131", "20240201"], "time", datetime(2024, 1, 31)),
    "ids above 64 bits": ("acct", ["10000000000000000007", "10000000000000000014"], "text", "10000000000000000007"),
    "a fraction among long ids": ("acct", ["100000000000000007", "2.5"], "text", "100000000000000007"),
    "ids within 64 bits": ("acct", ["9223372036854775807", "-9223372036854775807"], None, 2**63 - 1),
    "measures of any size": ("mass", ["12345678901234567.25", "1.5e300"], None, 12345678901234567.25),
    "eight digits that are no date": ("count", ["20240131", "20240201"], None, 20240131),
}


@pytest.mark.parametrize(("name", "values", "type_", "first"), CODES.values(), ids=CODES)
def test_the_type_is_said_where_the_values_alone_would_be_read_wrongly(
    tmp_path: Path, name: str, values: list[str], type_: str | None, first: Any
) -> None:
    table = opened(tmp_path, f"{name},n\n" + "".join(f'"{values[row % 2]}",{row}\n' for row in range(60)))
    assert table.dialect.parameters.get("types") == ({name: type_} if type_ else None)
    assert table.sample[name][0].as_py() == first


def test_amounts_with_decimal_commas_and_groups_of_points_are_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{row % 9 + 1}.{row:03},50 €;{row % 9 + 1}.000\n" for row in range(60))
    table = opened(tmp_path, "price;people\n" + rows)
    assert table.dialect.parameters == {
        "delimiter": ";",
        "decimal": ",",
        "types": {"price": "number", "people": "number"},
    }
    assert table.sample.slice(1, 1).to_pylist() == [{"price": 2001.5, "people": 2000.0}]


TIMES: dict[str, tuple[str, str]] = {
    "19-Sep-03": ("%d-%b-%y", "2003-09-19 00:00:00"),
    "Jan 31 2000": ("%b %d %Y", "2000-01-31 00:00:00"),
    "January 31, 2000": ("%B %d, %Y", "2000-01-31 00:00:00"),
    "31.01.03": ("%d.%m.%y", "2003-01-31 00:00:00"),
    "01/31/2012 01:30 PM": ("%m/%d/%Y %I:%M %p", "2012-01-31 13:30:00"),
}


@pytest.mark.parametrize("written", TIMES)
def test_dates_with_months_in_words_short_years_and_halves_of_the_day_are_times(tmp_path: Path, written: str) -> None:
    table = opened(tmp_path, "day,n\n" + "".join(f'"{written}",{row}\n' for row in range(60)))
    assert table.dialect.parameters["timestamps"] == [TIMES[written][0]]
    assert str(table.sample["day"][0].as_py()) == TIMES[written][1]


DOUBTS: dict[str, tuple[str, list[str], str]] = {
    "day and month": ("day,n", ["03/04/2024", "05/06/2024"], "the forms %d/%m/%Y and %m/%d/%Y both fit"),
    "several forms": ("day,n", ["2024-04-30", "30/04/2024"], "written in several forms"),
    "fraction or group": ("p;n", ["1,250", "800"], "1,250 may be a fraction or have a group of digits"),
}


@pytest.mark.parametrize(("header", "values", "says"), DOUBTS.values(), ids=DOUBTS)
def test_what_can_be_read_in_two_ways_stays_a_text_and_is_told(
    tmp_path: Path, header: str, values: list[str], says: str
) -> None:
    rows = "".join(f"{values[row % 2]}{header[-2]}{row}\n" for row in range(60))
    table = opened(tmp_path, f"{header}\n{rows}")
    (doubt,) = table.dialect.doubts.values()
    assert says in doubt
    assert table.sample[header[:-2]].type == pa.string()


UNITS: dict[str, tuple[str, str]] = {
    "units": ("\xb0C,bar,m/s,-", "line 2 (\xb0C, bar, m/s, -) has no number in 3 columns"),
    "a number without a unit": ("\xb0C,-,m/s,class", "has no number in 3 columns"),
}


@pytest.mark.parametrize(("units", "says"), UNITS.values(), ids=UNITS)
def test_a_row_of_units_is_refused_with_its_line(tmp_path: Path, units: str, says: str) -> None:
    rows = "".join(f"{row},{row}.5,{'' if row % 9 else row},{'good' if row % 2 else 'bad'}\n" for row in range(99))
    with pytest.raises(DataError) as refused:
        opened(tmp_path, f"temp,pressure,speed,quality\n{units}\n{rows}")
    (problem,) = refused.value.problems
    assert says in problem.found and "a row of units" in problem.found
    assert problem.fix == "remove line 2, or write the units into the names of the columns"


def test_a_row_of_units_of_one_number_is_refused_where_the_other_cells_are_empty(tmp_path: Path) -> None:
    rows = "".join(f"{row},red\n" for row in range(99))
    with pytest.raises(DataError, match="has no number in 1 column where"):
        opened(tmp_path, f"temp,colour\nK,-\n{rows}")
    assert opened(tmp_path, f"temp,colour\nK,blue\n{rows}").num_rows == 100


@pytest.mark.parametrize("first", ["NA,-,,good", "lost,lost,,good", "1,2,m/s,good", "$1,2,m/s,good"])
def test_a_first_row_with_a_number_or_words_that_come_again_is_a_row(tmp_path: Path, first: str) -> None:
    rows = "".join(f"{row},{'lost' if row == 50 else row},{row},good\n" for row in range(99))
    rows = rows.replace("20,20,", "lost,20,")
    assert opened(tmp_path, f"temp,pressure,speed,quality\n{first}\n{rows}").num_rows == 100


def test_a_column_without_a_name_is_called_by_its_place(tmp_path: Path) -> None:
    table = opened(tmp_path, '"",column_1,n\n' + "".join(f"{row},a{row},{row}\n" for row in range(60)))
    assert table.names == ["column_1_", "column_1", "n"]
    assert table.sample["column_1_"].type == pa.int64()


def test_years_in_the_header_are_names(tmp_path: Path) -> None:
    table = opened(tmp_path, "country,1990,1991\n" + "".join(f"c{row},{row},{row}\n" for row in range(60)))
    assert table.names == ["country", "1990", "1991"]


def test_a_gzip_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv.gz"
    file.write_bytes(gzip.compress(text(";").encode()))
    table = StartTable.open("labels", str(file), tmp_path)
    assert (table.kind, table.num_rows, table.dialect.parameters) == ("csv", 200, {"delimiter": ";"})


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "no header": (b"1.5,2,red\n" * 60, "there is no header: the first line with 3 values is 1.5, 2, red"),
    "a longer row": (
        b"a,b\n" + b"1,2\n" * 60 + b"1,2,3\n",
        "the header has 2 columns, and 1 row with another number of values; record 62 has 3",
    ),
    "a name too few": (b"a,b\n" + b"x,1,2\n" * 60, "line 1 has 2 names (a, b, ...), but the rows have 3 values"),
    "Excel": (b"PK\x03\x04\x14\x00", "it is an Excel workbook or a zip archive, not CSV"),
    "Parquet": (b"PAR1\x15\x04", "it is a Parquet file, not CSV"),
    "gzip": (gzip.compress(b"a,b\n1,2\n"), "it is a gzip file, not CSV"),
    "bytes": (bytes(range(256)) * 40, "the file holds bytes that are no text"),
    "two columns of one name": (b"a,a\n" + b"x,y\n" * 60, "'a' appears twice"),
    "header alone": (b"a,b\n", "0 rows in 1 files"),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_read_is_refused_with_a_remedy(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DataError) as refused:
        opened(tmp_path, content)
    (problem,) = refused.value.problems
    assert says in problem.found and problem.fix and problem.file == str(tmp_path / "prices.csv")


def test_files_with_different_headers_name_the_columns_that_some_lack(tmp_path: Path) -> None:
    for name, content in (("a.csv", "x,y\n1,2\n"), ("b.csv", "x\n3\n")):
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=r"different headers: 'y' is in 1 of 2 files"):
        source_of("csv", "labels", str(tmp_path)).footers()


def test_an_encoding_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no encoding 'latin-99'"):
        source_of("csv", "labels", str(tmp_path / "a.csv"), {"encoding": "latin-99"})
