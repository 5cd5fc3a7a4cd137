"""What footers say: the files of a path, every broken file by name, and a fingerprint of the content."""

import os
import re
import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.components.choice import find
from ray_pipeline.components.sources import _files
from ray_pipeline.components.sources._base import source_of
from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.data.open_tables import open_source, open_tables
from ray_pipeline.data.read import read
from ray_pipeline.data.table import Table
from ray_pipeline.errors import DataError, StorageError
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


def d05(folder: Path) -> None:
    """One bit of the footer says that the chunk of column `a` holds doubles; Arrow ends the process on that."""
    path = folder / "part-0.parquet"
    content = bytearray(path.read_bytes())
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[content.index(b"\x1c\x15\x04\x19", start) + 2] = 0x0A
    path.write_bytes(content)


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
        (
            d05,
            "its footer is damaged: column 'a' is INT64, but its chunk in row group 0 is DOUBLE",
            "part-0.parquet",
            None,
        ),
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
    ("spoil", "found", "column", "partial"),
    [
        (
            d11,
            "labels: column 'b' is string in 2 files, missing in 1 files; it is read as string; it is null where it is"
            " missing",
            "b",
            {"b": 2},
        ),
        (
            d12,
            "labels: column 'c' is int64 in 2 files, missing in 1 files; it is read as int64; it is null where it is"
            " missing",
            "c",
            {"c": 2},
        ),
    ],
    ids=["D11", "D12"],
)
def test_a_column_that_some_files_lack_is_null_there(
    tmp_path: Path, spoil: Callable[[Path], None], found: str, column: str, partial: dict[str, int]
) -> None:
    write(tmp_path)
    spoil(tmp_path)
    footers = source(tmp_path).footers()
    assert (dict(footers.unified), dict(footers.partial), dict(footers.uneven)) == ({column: found}, partial, {})
    values = source(tmp_path).table([column])[column]
    assert (len(values), values.null_count) == (
        9,
        3 + values.drop_null().to_pylist().count(None) + (2 if column == "b" else 0),
    )


def test_types_without_a_common_one_are_noted_and_no_harm_until_they_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    d13(tmp_path)
    footers = source(tmp_path).footers()
    found = "labels: column 'a' is int64 in 2 files, string in 1 files; no type holds the values of all files"
    assert {name: problem.found for name, problem in footers.uneven.items()} == {"a": found}
    assert footers.uneven["a"].file == str(tmp_path / "part-7.parquet")
    assert source(tmp_path).table(["b"]).num_rows == 7


STAMP = datetime(2024, 2, 3, 4, 5, 6, 789_000)


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (pa.array([1, None], pa.int32()), pa.array([2**40, None], pa.int64()), pa.int64()),
        (pa.array([1, None], pa.uint8()), pa.array([-1, None], pa.int8()), pa.int16()),
        (pa.array([1.5, None], pa.float32()), pa.array([1e300, None], pa.float64()), pa.float64()),
        (pa.array([7, None], pa.int64()), pa.array([0.5, None], pa.float64()), pa.float64()),
        (pa.array([STAMP, None], pa.timestamp("us")), pa.array([STAMP, None], pa.timestamp("ns")), pa.timestamp("ns")),
        (
            pa.array([STAMP, None], pa.timestamp("us", "Europe/Berlin")),
            pa.array([STAMP, None], pa.timestamp("ms", "UTC")),
            pa.timestamp("us", "UTC"),
        ),
        (pa.array(["a", None], pa.string()), pa.array(["b", None], pa.large_string()), pa.string()),
        (pa.array(["a", None], pa.string()), pa.array(["b", None]).dictionary_encode(), pa.string()),
        (pa.array(["a", None], pa.string_view()), pa.array(["b", None]).dictionary_encode(), pa.string()),
        (pa.nulls(2), pa.array(["b", None]), pa.string()),
        (pa.nulls(2), pa.array([STAMP, None], pa.timestamp("us")), pa.timestamp("us")),
        (pa.array([Decimal("1.50"), None]), pa.array([Decimal("1000.125"), None]), pa.decimal128(7, 3)),
    ],
    ids=lambda value: "" if isinstance(value, pa.DataType) else str(value.type),
)
def test_files_of_other_types_are_read_in_the_common_one_without_loss(
    tmp_path: Path, first: pa.Array, second: pa.Array, common: pa.DataType
) -> None:
    pq.write_table(pa.table({"x": first, "k": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"k": [3, 4], "x": second}), tmp_path / "2.parquet")
    rows = source(tmp_path)
    assert rows.footers().schema.field("x").type == common and "x" in rows.footers().unified
    read = rows.table(["x"])["x"]
    assert read.type == common
    expected = [*first.to_pylist(), *second.to_pylist()]
    assert [value == known for value, known in zip(read.to_pylist(), expected, strict=True)] == [True] * 4
    (piece,) = rows.pieces(rows.footers(), ["x"], 100, pc.field("k") >= 2)
    assert piece()["x"].to_pylist() == read.to_pylist()[1:]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (pa.array([2**53 + 1]), pa.array([0.5]), "int64 here and double in the table"),
        (
            pa.array([datetime(9999, 12, 31)], pa.timestamp("us")),
            pa.array([STAMP], pa.timestamp("ns")),
            "timestamp[us] here and timestamp[ns] in the table",
        ),
    ],
)
def test_a_value_that_the_common_type_does_not_hold_is_refused_with_its_file(
    tmp_path: Path, first: pa.Array, second: pa.Array, found: str
) -> None:
    pq.write_table(pa.table({"x": first}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": second}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match="write it in one type that holds the values of every file") as raised:
        source(tmp_path).table(["x"])
    (problem,) = raised.value.problems
    assert (problem.file, problem.column) == (str(tmp_path / "1.parquet"), "x") and found in problem.found


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


def test_a_pipe_is_refused_as_one_and_a_local_path_asks_for_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "rows")
    with pytest.raises(DataError, match=r"labels: this is a pipe or a device, .* Fix: save the rows in a file"):
        _files.files_at("labels", str(tmp_path / "rows"), (".parquet",), "Parquet")

    def refused(fs: object, folder: str) -> None:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(_files, "_below", refused)
    with pytest.raises(StorageError, match=r"Permission denied.* Fix: allow reading it"):
        _files.files_at("labels", str(tmp_path), (".parquet",), "Parquet")


def test_a_path_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels: there is no such file or folder"):
        source(tmp_path / "nowhere").footers()


def test_files_without_rows_beside_files_with_rows_are_fine(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "part-1.parquet", TABLE.slice(0, 0))
    footers = source(tmp_path).footers()
    assert (footers.num_rows, len(footers.files)) == (3, 2)
    assert footers.num_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_the_types_of_a_file_without_rows_do_not_count(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "part-1.parquet", pa.table({"a": pa.array([], pa.string()), "c": pa.array([], pa.null())}))
    mixed = source(tmp_path)
    footers = mixed.footers()
    assert footers.schema == TABLE.schema and not footers.uneven and not footers.partial
    assert mixed.table(["a", "b"]).equals(TABLE) and mixed.count(pc.field("a") > 1) == 2
    assert pa.concat_tables([piece() for piece in mixed.pieces(footers, ["a"], 2)])["a"].to_pylist() == [1, 2, 3]


def test_a_link_to_an_absent_file_is_reported(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "part-1.parquet").symlink_to("/nowhere/part-1.parquet")
    (tmp_path / "notes.txt").symlink_to("/nowhere/notes.txt")
    with pytest.raises(DataError, match="labels: this is a link to nothing") as raised:
        source(tmp_path).footers()
    assert raised.value.problems[0].file == str(tmp_path / "part-1.parquet")


def test_links_to_other_folders_are_followed_and_one_that_leads_back_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/one.parquet")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/link").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "rows", tmp_path) == ["rows/link/one.parquet"]
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="this is a link to a folder that holds it"):
        source(tmp_path / "elsewhere").footers()
    assert names(tmp_path / "elsewhere/*.parquet", tmp_path) == ["elsewhere/one.parquet"]


def test_the_ending_of_a_file_counts_in_any_case(tmp_path: Path) -> None:
    write(tmp_path, "one.parquet")
    write(tmp_path, "two.PARQUET")
    assert names(tmp_path, tmp_path) == ["one.parquet", "two.PARQUET"]


def test_a_file_outside_of_the_folders_of_a_partition_is_noted_and_two_values_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "r/x.parquet", pa.table({"a": [1]}))
    write(tmp_path, "r/p=3/x.parquet", pa.table({"a": [2]}))
    footers = source(tmp_path / "r").footers()
    assert footers.partial == {"p": 1} and "1 of 2 files are in no folder p=" in footers.unified["p"]
    assert source(tmp_path / "r").table(["a", "p"]).to_pydict() == {"a": [2, 1], "p": [3, None]}
    write(tmp_path, "s/p=1/p=2/x.parquet")
    with pytest.raises(DataError, match="two of its folders name a value of 'p'"):
        source(tmp_path / "s").footers()


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


@pytest.mark.parametrize(
    ("folders", "type_", "values"),
    [
        (["code=01", "code=2"], pa.string(), ["01", "2"]),
        (["code=1", "code=2"], pa.int64(), [1, 2]),
        (["code=__HIVE_DEFAULT_PARTITION__", "code=east", "code=west"], pa.string(), [None, "east", "west"]),
        (["code=2024-01-31", "code=2024-02-01"], pa.date32(), [date(2024, 1, 31), date(2024, 2, 1)]),
        (["code=a%2Fb%20c", "code=d"], pa.string(), ["a/b c", "d"]),
    ],
)
def test_the_type_of_a_partition_follows_from_all_its_values(
    tmp_path: Path, folders: list[str], type_: pa.DataType, values: list[Any]
) -> None:
    for folder in folders:
        write(tmp_path, f"{folder}/x.parquet", pa.table({"a": [1]}))
    hive = source(tmp_path)
    assert hive.footers().schema.field("code").type == type_
    assert hive.table(["code"])["code"].to_pylist() == values
    known = [value for value in values if value is not None]
    keep = pc.field("code") == pa.scalar(known[0], type_)
    assert hive.count(keep) == 1
    assert [piece()["code"].to_pylist() for piece in hive.pieces(hive.footers(), ["code"], 9, keep)] == [[known[0]]]


def test_partitions_may_be_nested_in_any_order_and_one_that_is_also_a_column_is_refused_where_it_is_read(
    tmp_path: Path,
) -> None:
    write(tmp_path, "r=1/s=x/1.parquet", pa.table({"a": [1]}))
    write(tmp_path, "s=y/r=2/2.parquet", pa.table({"a": [2]}))
    assert source(tmp_path).table(["a", "r", "s"]).to_pydict() == {"a": [1, 2], "r": [1, 2], "s": ["x", "y"]}
    write(tmp_path, "s=z/r=3/3.parquet", pa.table({"a": [2], "r": [9]}))
    footers = source(tmp_path).footers()
    assert footers.uneven["r"].found == "labels: 'r' is a column of the files and the name of their folders"


@pytest.mark.parametrize("name", ["box [1]", "50%", "a*b", "what?", "x{y}"])
def test_a_name_that_exists_is_no_glob(tmp_path: Path, name: str) -> None:
    write(tmp_path, f"{name}/a [b].parquet")
    assert names(tmp_path / name, tmp_path) == [f"{name}/a [b].parquet"]
    assert names(tmp_path / name / "a [b].parquet", tmp_path) == [f"{name}/a [b].parquet"]
    assert names(tmp_path / name / "*.parquet", tmp_path) == [f"{name}/a [b].parquet"]
    assert source(tmp_path / name).table(["a"]).num_rows == 3


def test_a_page_whose_checksum_does_not_match_is_refused(tmp_path: Path) -> None:
    """Without the checksum, Arrow reads the damaged page as other numbers."""
    path, numbers = tmp_path / "x.parquet", pa.table({"a": range(1_000), "b": range(1_000)})
    pq.write_table(numbers, path, write_page_checksum=True, compression="none", use_dictionary=False)
    at, content = pq.read_metadata(path).row_group(0).column(0).data_page_offset, bytearray(path.read_bytes())
    content[at + 500] ^= 1
    path.write_bytes(content)
    table = InputTable.open(source(tmp_path))
    assert table.rows(["b"]).num_rows == 1_000
    with pytest.raises(DataError, match="row group 0 of column 'a' cannot be read: could not verify page integrity"):
        table.rows(["a"])


def test_int96_times_of_any_year_are_read_as_they_are(tmp_path: Path) -> None:
    moments = [datetime(1, 1, 1), datetime(2024, 1, 2, 3, 4, 5, 678_901), datetime(9999, 12, 31), None]
    table = pa.table({"t": pa.array(moments, pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    old = source(tmp_path)
    assert old.footers().schema.field("t").type == pa.timestamp("us")
    assert old.table(["t"])["t"].to_pylist() == moments
    assert old.count(pc.field("t") > pa.scalar(datetime(2300, 1, 1), pa.timestamp("us"))) == 1


def test_int96_times_with_digits_below_the_microsecond_are_refused_where_they_are_read(tmp_path: Path) -> None:
    """In every year: nanoseconds wrap after 2262, and their last digits do not."""
    times = pa.array([1_700_000_000_000_000_001, None, 5_000], pa.timestamp("ns"))
    table = pa.table({"a": [1, 2, 3], "t": times, "u": pa.array([1_000, None, 0], pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    old = source(tmp_path)
    assert old.table(["a", "u"])["u"].to_pylist() == [datetime(1970, 1, 1, microsecond=1), None, datetime(1970, 1, 1)]
    for call in (lambda: old.table(["t"]), old.pieces(old.footers(), ["a", "t"], 10)[0]):
        with pytest.raises(DataError, match="'t' is INT96 with digits below the microsecond in 1 rows") as raised:
            call()
        assert raised.value.problems[0].file == str(tmp_path / "old.parquet")


def test_int96_within_a_struct_does_not_change_a_column_of_its_name(tmp_path: Path) -> None:
    moments = pa.array([datetime(2024, 1, 1)] * 2, pa.timestamp("us"))
    table = pa.table(
        {"t": [1, 2], "s": pa.StructArray.from_arrays([moments], ["t"]), "l": pa.array([[moments[0]], []])}
    )
    pq.write_table(table, tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    old = source(tmp_path)
    assert old.footers().schema.field("t").type == pa.int64() and old.table(["t"])["t"].to_pylist() == [1, 2]


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
        assert getattr(open_source(spec, Where(), "labels", rows), "delimiter", None) == expected


CELLS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.integers(2**53 - 2, 2**53 + 2).map(str),
    st.integers(1, 9).map(lambda digit: f"{digit}0000000000000000000"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["12345678901234567.25", "1.5e300", "+7", " 9223372036854775808 ", ""]),
)


@given(st.lists(CELLS, min_size=1, max_size=4))
def test_no_digit_of_a_whole_number_in_a_csv_file_is_lost_unless_the_column_is_refused(cells: list[str]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "ids.csv")
        path.write_text("row,id\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells)))
        source = source_of("csv", "ids", str(path))
        values, problem = source.table(["id"])["id"].to_pylist(), source.footers().uneven.get("id")
    whole = [(cell, value) for cell, value in zip(cells, values, strict=True) if re.fullmatch(r"\s*[+-]?\d+\s*", cell)]
    lost = [cell for cell, _ in whole if Decimal(repr(float(cell))) != Decimal(cell)]
    fits = all(re.fullmatch(r"\s*-?\d*\s*", cell) and -(2**63) <= int(cell or 0) < 2**63 for cell in cells)
    assert (problem is not None) == (bool(lost) and not fits)
    assert all(Decimal(str(value)) == Decimal(cell) for cell, value in whole)
    assert problem is None or problem.rows == len(lost)


def test_a_column_of_a_csv_file_that_would_lose_digits_is_refused_where_it_is_read(tmp_path: Path) -> None:
    ids = [10**19 + 7 * row for row in range(12)]
    rows = "".join(f"{row},{id_},{id_}.5,{row % 2}\n" for row, id_ in enumerate(ids))
    (tmp_path / "rows.csv").write_text("row,acct,mass,y\n" + rows)
    text = "name: n\ntask: binary\nfeatures:\n  labels: {{path: rows.csv, kind: csv, label: y, key: row, {}}}\n"

    def opened(more: str) -> Table:
        return read(
            Spec.from_text(text.format(more) + "split: {by: random}\nmodel: xgboost\n", folder=tmp_path), Where()
        )

    with pytest.raises(DataError) as refused:
        opened("columns: [acct, mass]")
    (problem,) = refused.value.problems
    assert (problem.column, problem.rows, problem.file) == ("acct", 11, str(tmp_path / "rows.csv"))
    assert problem.found.startswith("labels: 'acct' loses digits as a double in 11 rows: 10000000000000000007, ")
    assert problem.fix and "`types: {acct: text}`" in problem.fix
    assert opened("columns: [mass]").features == {"mass": pa.float64()}
    assert opened("columns: [acct, mass], types: {acct: text}").features["acct"] == pa.string()
    assert opened("columns: [acct, mass], types: {acct: number}").features["acct"] == pa.float64()


def test_files_of_which_one_has_longer_numbers_than_a_double_are_refused_for_that(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.csv").write_text("id\n10000000000000000007\n")
    with pytest.raises(DataError, match="'id' loses digits as a double in 1 rows: 10000000000000000007"):
        source_of("csv", "ids", str(tmp_path / "*.csv")).footers()


def test_hidden_folders_are_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a/.cache/deep", "a/_tmp/deep", "a/b"):
        (tmp_path / folder).mkdir(parents=True)
        pq.write_table(pa.table({"x": [1]}), tmp_path / folder / "x.parquet")
    walked, list_folder = list[str](), _files._below

    def below(fs: Any, folder: str) -> Any:
        walked.append(folder)
        return list_folder(fs, folder)

    monkeypatch.setattr(_files, "_below", below)
    assert source(tmp_path).footers().num_rows == 1
    assert walked == [str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/a/b"]


def test_files_of_hive_without_an_ending_are_read_beside_others(tmp_path: Path) -> None:
    for number, name in enumerate(("month=1/000000_0", "month=1/part.parquet", "month=2/000000_0")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"x": [number]}), tmp_path / name)
    (tmp_path / "README").write_text("no table")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "empty").touch()
    for path, expected in ((tmp_path, [0, 1, 2]), (f"{tmp_path}/month=2", [2]), (f"{tmp_path}/month=1/*", [0, 1])):
        source = source_of("parquet", "rows", str(path))
        assert sorted(source.table(["x"])["x"].to_pylist()) == expected


def test_a_column_that_is_also_a_folder_s_name_does_no_harm_where_it_is_not_read(tmp_path: Path) -> None:
    for name in ("p=x", "p=1"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"a": [1], "p": [5]}), tmp_path / name / "0.parquet")
    source = source_of("parquet", "rows", str(tmp_path))
    assert source.table(["a"])["a"].to_pylist() == [1, 1] and source.count(pc.field("a") > 0) == 2
    assert "is a column of the files and the name of their folders" in source.footers().uneven["p"].found


def test_a_renamed_folder_of_a_partition_is_another_fingerprint(tmp_path: Path) -> None:
    found = set()
    for name in ("p=u", "p=v"):
        (tmp_path / name / name).mkdir(parents=True)
        pq.write_table(pa.table({"a": [1]}), tmp_path / name / name / "0.parquet")
        found.add(source_of("parquet", "rows", str(tmp_path / name)).footers().fingerprint)
    assert len(found) == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_storage_that_gives_no_answer_ends_the_reading(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, answered = tmp_path / f"rows.{kind}", threading.Event()
    table = pa.table({"a": [1, 2]})
    (pacsv.write_csv if kind == "csv" else pq.write_table)(table, file)
    spec = Spec.from_text(
        f"name: t\ntask: regression\nfeatures: {{labels: {{path: {file}, label: a, kind: {kind}}}}}\n"
        "split: {by: random}\nmodel: linear\n"
    )
    where = Where().model_copy(update={"stall_after": timedelta(seconds=1)})
    assert open_tables(spec, where)["labels"].footers.num_rows == 2

    def silent(*_: object, **__: object) -> None:
        answered.wait(60)

    monkeypatch.setattr(find("sources", kind), "footers", silent)
    found = r"labels: its storage has given no answer for 1 s \(`stall_after`\) · Fix: see whether the storage"
    with pytest.raises(StorageError, match=found):
        open_tables(spec, where)
    answered.set()
