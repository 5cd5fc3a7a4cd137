"""A CSV file is read as it is written: encoding, delimiter, decimal sign, header line, missing values, dates."""

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


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "no header": (b"1.5,2,red\n" * 60, "there is no header: the first line with 3 values is 1.5, 2, red"),
    "a longer row": (b"a,b\n" + b"1,2\n" * 60 + b"1,2,3\n", "Expected 2 columns, got 3"),
    "two columns of one name": (b"a,a\n" + b"x,y\n" * 60, "'a' appears twice"),
    "header alone": (b"a,b\n", "0 rows in 1 files"),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_read_is_refused_with_a_remedy(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(DataError) as refused:
        opened(tmp_path, content)
    (problem,) = refused.value.problems
    assert says in problem.found and problem.fix and problem.file == str(tmp_path / "prices.csv")


def test_an_encoding_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no encoding 'latin-99'"):
        source_of("csv", "labels", str(tmp_path / "a.csv"), {"encoding": "latin-99"})
