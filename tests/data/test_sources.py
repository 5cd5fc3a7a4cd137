"""What footers say: the files of a path, every broken file by name, and a fingerprint of the content."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.data.read import open_sources
from ray_pipeline.errors import DataError
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", None]})


def write(folder: Path, name: str = "part-0.parquet", table: pa.Table = TABLE) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def source(path: Path | str) -> Parquet:
    return Parquet(name="labels", path=str(path))


def names(path: Path | str, folder: Path) -> list[str]:
    return [str(Path(file).relative_to(folder)) for file in source(path).footers().files]


def d01(folder: Path) -> None:
    (folder / "part-0.parquet").unlink()
    (folder / "notes.txt").write_text("14")


def d02(folder: Path) -> None:
    (folder / "part-3.parquet").touch()


def d03(folder: Path) -> None:
    (folder / "part-4.parquet").write_text("a,b\n1,2\n")


def d04(folder: Path) -> None:
    whole = write(folder, "part-5.parquet").read_bytes()
    (folder / "part-5.parquet").write_bytes(whole[:-20])


def d04_length(folder: Path) -> None:
    (folder / "part-5.parquet").write_bytes(b"PAR1PAR1")


def d10(folder: Path) -> None:
    write(folder, table=TABLE.slice(0, 0))


def d11(folder: Path) -> None:
    write(folder, "part-6.parquet", TABLE.drop_columns("b"))
    write(folder, "part-7.parquet")


def d12(folder: Path) -> None:
    write(folder, "part-6.parquet", TABLE.append_column("c", TABLE["a"]))
    write(folder, "part-7.parquet", TABLE.append_column("c", TABLE["a"]))


def d13(folder: Path) -> None:
    write(folder, "part-6.parquet")
    write(folder, "part-7.parquet", pa.table({"a": ["1"], "b": ["x"]}))


def d20(folder: Path) -> None:
    write(folder, "part-1.parquet", pa.Table.from_arrays([TABLE["a"], TABLE["b"], TABLE["a"]], names=["a", "b", "a"]))


@pytest.mark.parametrize(
    ("spoil", "found", "file", "column"),
    [
        (d01, "no Parquet file here (1 other files)", "", None),
        (d02, "the file is empty (0 bytes)", "part-3.parquet", None),
        (d03, "not Parquet: it starts with b'a,b\\n", "part-4.parquet", None),
        (d04, "the footer is missing: the file is cut at", "part-5.parquet", None),
        (d04_length, "its footer cannot be read: ", "part-5.parquet", None),
        (d10, "0 rows in 1 files", "", None),
        (d20, "'a' appears twice", "part-1.parquet", "a"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_bad_file_is_reported_with_its_name_and_its_column(
    tmp_path: Path, spoil: Callable[[Path], None], found: str, file: str, column: str | None
) -> None:
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError) as raised:
        source(tmp_path).footers()
    (problem,) = raised.value.problems
    assert raised.value.exit_code == 3 and problem.stage == "read" and problem.fix
    assert problem.found.startswith("labels: ") and found in problem.found
    assert (problem.file, problem.column) == (str(tmp_path / file), column)


@pytest.mark.parametrize(
    ("spoil", "found", "file", "column"),
    [
        (d11, "labels: column 'b' is string in 2 files, missing in 1 files", "part-6.parquet", "b"),
        (d12, "labels: column 'c' is int64 in 2 files, missing in 1 files", "part-0.parquet", "c"),
        (d13, "labels: column 'a' is int64 in 2 files, string in 1 files", "part-7.parquet", "a"),
    ],
    ids=["D11", "D12", "D13"],
)
def test_uneven_columns_are_noted_and_no_harm_until_they_are_read(
    tmp_path: Path, spoil: Callable[[Path], None], found: str, file: str, column: str
) -> None:
    write(tmp_path)
    spoil(tmp_path)
    footers = source(tmp_path).footers()
    assert column in footers.schema.names
    assert {name: problem.found for name, problem in footers.uneven.items()} == {column: found}
    assert footers.uneven[column].file == str(tmp_path / file)


def test_a_column_that_few_files_have_is_left_out_and_counted(tmp_path: Path) -> None:
    for part in range(4):
        write(tmp_path, f"part-{part}.parquet", TABLE.append_column("c", TABLE["a"]) if part == 0 else TABLE)
    footers = source(tmp_path).footers()
    assert (footers.schema.names, dict(footers.extra), dict(footers.uneven)) == (["a", "b"], {"c": 1}, {})
    assert source(tmp_path).table(["a"]).num_rows == 12


def test_pieces_are_all_the_rows_in_file_order_and_bytes_are_counted_by_column(tmp_path: Path) -> None:
    for part in range(3):
        pq.write_table(
            pa.table({"a": range(part * 100, part * 100 + 100), "b": ["x"] * 100}),
            tmp_path / f"{part}.parquet",
            row_group_size=30,
        )
    footers = source(tmp_path).footers()
    pieces = [read() for read in source(tmp_path).pieces(footers, ["a"], 70)]
    assert [piece.num_rows for piece in pieces] == [60, 70, 70, 60, 40]  # of row groups of 30, 30, 30 and 10
    assert pa.concat_tables(pieces).to_pydict() == {"a": list(range(300))}
    assert [read()["b"].to_pylist() for read in source(tmp_path).pieces(footers, ["b"], 400, pc.field("a") > 297)] == [
        ["x", "x"]
    ]
    packed, plain = footers.bytes_of(["a"])
    assert 0 < footers.bytes_of(["b"])[0] < packed < footers.num_bytes
    assert plain >= 2_400
    assert (footers.file_rows, sum(footers.file_bytes)) == ((100, 100, 100), footers.num_bytes)


def test_a_path_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels: there is no such file or folder"):
        source(tmp_path / "nowhere").footers()


def test_files_without_rows_beside_files_with_rows_are_fine(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "part-1.parquet", TABLE.slice(0, 0))
    footers = source(tmp_path).footers()
    assert (footers.num_rows, len(footers.files)) == (3, 2)
    assert footers.num_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_file_a_folder_and_globs_name_the_files_they_should(tmp_path: Path) -> None:
    for name in (
        "b.parquet",
        "a.parquet",
        "c.pq",
        "deep/d.parquet",
        "deep/er/e.parquet",
        "_temporary/x.parquet",
        ".hidden.parquet",
    ):
        write(tmp_path, name)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "notes.txt").write_text("no table")
    assert names(tmp_path, tmp_path) == ["a.parquet", "b.parquet", "c.pq", "deep/d.parquet", "deep/er/e.parquet"]
    assert names(tmp_path / "b.parquet", tmp_path) == ["b.parquet"]
    assert names(tmp_path / "*.parquet", tmp_path) == ["a.parquet", "b.parquet"]
    assert names(tmp_path / "[bc].p*", tmp_path) == ["b.parquet", "c.pq"]
    assert names(tmp_path / "**" / "*.parquet", tmp_path) == [
        "a.parquet",
        "b.parquet",
        "deep/d.parquet",
        "deep/er/e.parquet",
    ]
    assert names(tmp_path / "**" / "er" / "?.parquet", tmp_path) == ["deep/er/e.parquet"]
    assert names(tmp_path / "de*", tmp_path) == ["deep/d.parquet", "deep/er/e.parquet"]
    assert names(f"file://{tmp_path}/b.parquet", tmp_path) == ["b.parquet"]
    with pytest.raises(DataError, match="no Parquet file here"):
        source(tmp_path / "z*.parquet").footers()


@pytest.mark.parametrize("path", ["", "year=*", "year=*/*.parquet"])
def test_hive_folders_become_columns_of_their_rows(tmp_path: Path, path: str) -> None:
    for year in (2023, 2024):
        write(tmp_path, f"year={year}/part-0.parquet", pa.table({"a": [year]}))
    hive = source(tmp_path / path)
    assert hive.footers().schema.names == ["a", "year"]
    assert hive.table(["a", "year"]).to_pydict() == {"a": [2023, 2024], "year": [2023, 2024]}


def _rewritten(folder: Path) -> None:
    write(folder, table=pa.table({"a": [1, 2, 4], "b": ["x", "y", None]}))


def _renamed(folder: Path) -> None:
    (folder / "part-0.parquet").rename(folder / "part-9.parquet")


def _added(folder: Path) -> None:
    write(folder, "part-1.parquet")


@pytest.mark.parametrize("change", [_rewritten, _renamed, _added])
def test_the_fingerprint_changes_with_the_files_and_only_then(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here), write(there)
    before = source(here).footers().fingerprint
    assert before == source(here).footers().fingerprint == source(there).footers().fingerprint
    (here / "part-0.parquet").touch()
    assert source(here).footers().fingerprint == before
    change(here)
    assert source(here).footers().fingerprint != before


def test_a_small_table_is_read_whole_in_file_order(tmp_path: Path) -> None:
    write(tmp_path, "2.parquet", pa.table({"a": [9], "b": ["z"]}))
    write(tmp_path, "1.parquet")
    assert source(tmp_path).table(["b"]).to_pydict() == {"b": ["x", "y", None, "z"]}


def test_new_rows_of_the_same_kind_are_read_with_the_parameters_of_the_spec(tmp_path: Path) -> None:
    table = "{path: a.csv, label: y, kind: csv, delimiter: ;}"
    text = f"name: a\ntask: regression\nfeatures: {{labels: {table}}}\nsplit: {{by: random}}\nmodel: xgboost\n"
    spec = Spec.from_text(text, folder=tmp_path)
    for rows, expected in (("b.csv", ";"), ("b.parquet", None)):
        assert getattr(open_sources(spec, Where(), rows)["labels"], "delimiter", None) == expected
