"""Rows for a model in a CSV file that is written otherwise than the model's own table."""

from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.components.sources._base import Source
from ray_pipeline.data.open_tables import open_source
from ray_pipeline.data.row_layout import rows_at, with_row_layout
from ray_pipeline.errors import DataError
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

DIALECT = "delimiter: ';', skip_rows: 1, encoding: latin-1, decimal: ','"
TYPES = "types: {Salary: number, Code: text, Left: text}"
SPEC = """\
name: hr
task: binary
features:
  labels: {{path: hr.{kind}, kind: {kind}, label: Left == 'yes', {more}}}
  offices: {{path: offices.parquet, "on": [Office]}}
split: {{by: random}}
model: xgboost
"""
COLUMNS = ("Salary", "Dept", "Code", "offices.size")
PLAIN = "Salary,Dept,Code,Office\n1750.5,Küche,007,1\n900,HR,010,2\n"


def opened(folder: Path, content: bytes, more: str = f"{DIALECT}, {TYPES}", kind: str = "csv") -> tuple[Source, Any]:
    (folder / "rows.csv").write_bytes(content)
    spec = Spec.from_text(SPEC.format(kind=kind, more=more).replace(", }", "}"), folder=folder)
    path = str(folder / "rows.csv")
    spec, said = with_row_layout(spec, path, COLUMNS)
    return open_source(spec, Where(), "labels", path), said


def values(source: Source) -> dict[str, list[Any]]:
    return source.table(source.footers().schema.names).to_pydict()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Gehälter 2026\nSalary;Dept;Code;Office\n1750,5;Küche;007;1\n900;HR;010;2\n".encode("latin-1"), None),
        (
            "Gehälter 2026\nSalary;Dept;Code;Office\n1750,5;Küche;007;1\n900;HR;010;2\n".encode(),
            "read with encoding 'utf-8'; the model's table has encoding 'latin-1'",
        ),
        (
            "Salary;Dept;Code;Office\n1750,5;Küche;007;1\n900;HR;010;2\n".encode("latin-1"),
            "read with skip_rows 0; the model's table has skip_rows 1",
        ),
    ],
)
def test_rows_in_the_models_layout_or_nearly_so_are_read(tmp_path: Path, content: bytes, said: str | None) -> None:
    source, told = opened(tmp_path, content)
    assert told == said
    found = values(source)
    assert (found["Salary"], found["Dept"], found["Code"]) == ([1750.5, 900.0], ["Küche", "HR"], ["007", "010"])


@pytest.mark.parametrize("more", [f"{DIALECT}, {TYPES}", DIALECT])
def test_a_plain_file_is_read_plainly_and_it_is_said(tmp_path: Path, more: str) -> None:
    source, told = opened(tmp_path, PLAIN.encode(), more)
    assert told == (
        "read with delimiter ',', decimal '.', encoding 'utf-8', skip_rows 0;"
        " the model's table has delimiter ';', decimal ',', encoding 'latin-1', skip_rows 1"
    )
    found = values(source)
    assert (found["Salary"], found["Dept"]) == ([1750.5, 900.0], ["Küche", "HR"])
    assert found["Code"] == (["007", "010"] if "types" in more else [7, 10])


@pytest.mark.parametrize("amount", ["1,500", "1.500,25"])
@pytest.mark.parametrize("more", [f"{DIALECT}, {TYPES}", DIALECT])
def test_decimal_commas_in_a_plain_file_stay_texts_which_the_model_refuses(
    tmp_path: Path, amount: str, more: str
) -> None:
    source, _ = opened(tmp_path, f'Salary,Dept,Code,Office\n"{amount}",HR,007,1\n'.encode(), more)
    assert values(source)["Salary"] == [amount]


def test_a_label_with_a_type_may_be_absent_from_the_rows(tmp_path: Path) -> None:
    source, told = opened(tmp_path, PLAIN.encode(), TYPES)
    assert told is None and values(source)["Salary"] == [1750.5, 900.0]


@pytest.mark.parametrize(
    ("content", "kind", "more", "found"),
    [
        (
            "a|b\n1|2\n",
            "csv",
            DIALECT,
            "labels: read as the model's table (delimiter ';', decimal ',', encoding 'latin-1', skip_rows 1), the"
            " header has none of the model's columns: '1|2'",
        ),
        (
            "a|Büro\n1|2\n2|3\n",
            "csv",
            DIALECT,
            "labels: read as the model's table (delimiter ';', decimal ',', encoding 'utf-8', skip_rows 1), the header",
        ),
        ("Salary;Dept\n1;2\n", "parquet", "", "labels: read as a plain file (delimiter ',', decimal '.', enc"),
    ],
)
def test_a_header_without_any_column_says_how_the_file_was_read(
    tmp_path: Path, content: str, kind: str, more: str, found: str
) -> None:
    with pytest.raises(DataError) as raised:
        opened(tmp_path, content.encode(), more, kind)
    (problem,) = raised.value.problems
    assert problem.found.startswith(found) and raised.value.exit_code == 3
    assert problem.fix == (
        "save the rows with commas, decimal points, UTF-8 and the header in line 1, or as Parquet;"
        " the model reads 'Code', 'Dept', 'Office', 'Salary'"
    )


def test_rows_in_parquet_have_no_layout(tmp_path: Path) -> None:
    spec = Spec.from_text(SPEC.format(kind="csv", more=DIALECT), folder=tmp_path)
    assert with_row_layout(spec, "rows.parquet", COLUMNS) == (spec, None)


def test_a_folder_means_the_files_of_its_one_kind(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.csv.gz", "sub/b.csv.gz", "readme.md", ".old.csv", "_tmp.parquet"):
        (tmp_path / name).write_text("")
    assert rows_at(tmp_path) == f"{tmp_path}/**/*.csv.gz"
    assert rows_at(tmp_path / "a.csv.gz") == f"{tmp_path}/a.csv.gz" and rows_at("s3://b/k") == "s3://b/k"
    (tmp_path / "c.PQ").write_text("")
    with pytest.raises(DataError, match=r"1 \*\.parquet files and 2 \*\.csv\.gz files|2 \*\.csv\.gz files and 1"):
        rows_at(tmp_path)


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file has no header"):
        opened(tmp_path, b"", "", "parquet")
