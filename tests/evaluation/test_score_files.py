"""Scores are one file, or a folder with a file for each file that was read; Parquet or CSV by the ending."""

import errno
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from ray_pipeline.components.sources._base import source_of
from ray_pipeline.errors import DataError, SpecError, StorageError
from ray_pipeline.evaluation.score_files import means_file, refuse_own_rows, write_scores

SCORED = pa.table(
    {"id": list(range(10)), "score": [number / 10 for number in range(10)], "decision": ["no", "yes"] * 5}
)


def blocks(*lengths: int) -> Iterator[pa.Table]:
    """The scored rows in blocks of these lengths."""
    start = 0
    for length in lengths:
        yield SCORED.slice(start, length)
        start += length


def table_of(kind: str, path: Path, rows: int = 10) -> Any:
    """What `write_scores` asks of a table: its source, its files and how many rows it has."""
    source = source_of(kind, "labels", str(path))
    return SimpleNamespace(labels=SimpleNamespace(source=source), footers={"labels": source.footers()}, num_rows=rows)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder of 3, 0, 5 and 2 rows in files, one of them in a folder of a partition."""
    folder = tmp_path / "rows"
    (folder / "day=2").mkdir(parents=True)
    for name, count in (("a.parquet", 3), ("b.parquet", 0), ("c.pq", 5), ("day=2/d.parquet", 2)):
        pq.write_table(pa.table({"id": pa.array(range(count), pa.int64())}), folder / name)
    return folder


@pytest.mark.parametrize("lengths", [(10,), (1,) * 10, (4, 4, 2), (3, 0, 7)], ids=str)
@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "deep/er/SCORES.CSV"])
def test_one_file_has_all_rows_in_their_order(rows: Path, tmp_path: Path, lengths: tuple[int, ...], name: str) -> None:
    out = tmp_path / "out" / name
    assert write_scores(blocks(*lengths), table_of("parquet", rows), out) == (10, 1)
    read = pacsv.read_csv if name.lower().endswith("csv") else pq.read_table
    assert read(out).to_pydict() == SCORED.to_pydict()
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == [out]


@pytest.mark.parametrize("lengths", [(10,), (1,) * 10, (4, 4, 2)], ids=str)
def test_a_folder_has_a_file_for_each_file_with_as_many_rows(
    rows: Path, tmp_path: Path, lengths: tuple[int, ...]
) -> None:
    out = tmp_path / "out"
    assert write_scores(blocks(*lengths), table_of("parquet", rows), out) == (10, 4)
    files = [out / name for name in ("a.parquet", "b.parquet", "c.pq", "day=2/d.parquet")]
    assert sorted(file for file in out.rglob("*") if file.is_file()) == files
    parts = [pq.ParquetFile(file).read() for file in files]
    assert [len(part) for part in parts] == [3, 0, 5, 2]
    assert pa.concat_tables(parts).to_pydict() == SCORED.to_pydict()


def test_a_folder_of_csv_becomes_a_folder_of_csv(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for name, count in (("a.csv", 4), ("b.csv", 6)):
        pacsv.write_csv(pa.table({"id": list(range(count))}), folder / name)
    out = tmp_path / "out"
    out.mkdir()
    assert write_scores(blocks(5, 5), table_of("csv", folder), out) == (10, 2)
    assert [pacsv.read_csv(out / name).num_rows for name in ("a.csv", "b.csv")] == [4, 6]


@pytest.mark.parametrize("name", ["scores.parquet", "scores"])
def test_two_processes_that_write_one_path_do_not_disturb_each_other(rows: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out" / name

    def with_another_process() -> Iterator[pa.Table]:
        yield from blocks(4)
        if name == "scores.parquet":
            write_scores(blocks(10), table_of("parquet", rows), out)
        else:
            with pytest.raises(DataError, match="0 rows were scored"):
                write_scores(blocks(), table_of("parquet", rows), out)
        yield SCORED.slice(4)

    write_scores(with_another_process(), table_of("parquet", rows), out)
    assert pq.read_table(out, partitioning=None).num_rows == 10
    assert [*out.parent.iterdir()] == [out]


@pytest.mark.parametrize("error", [OSError("Corrupt snappy compressed data"), pa.ArrowInvalid("CSV parse error")])
@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "scores"])
def test_a_row_that_cannot_be_read_is_no_fault_of_the_output(
    rows: Path, tmp_path: Path, name: str, error: Exception
) -> None:
    def damaged() -> Iterator[pa.Table]:
        yield SCORED.slice(0, 4)
        raise error

    with pytest.raises(type(error)) as raised:
        write_scores(damaged(), table_of("parquet", rows), tmp_path / "out" / name)
    assert raised.value is error and [*(tmp_path / "out").iterdir()] == []


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "scores"])
def test_a_file_that_cannot_be_written_is_named(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    class Full:
        def __init__(self, *_: object) -> None:
            pass

        def write_table(self, _: pa.Table) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(pq, "ParquetWriter", Full)
    monkeypatch.setattr(pacsv, "CSVWriter", Full)
    out = tmp_path / "out" / name
    with pytest.raises(StorageError, match="cannot write: No space left on device") as raised:
        write_scores(blocks(10), table_of("parquet", rows), out)
    assert raised.value.problems[0].file == str(out) and [*out.parent.iterdir()] == []


def test_one_file_may_become_a_folder(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": list(range(10))}), tmp_path / "rows.parquet")
    assert write_scores(blocks(10), table_of("parquet", tmp_path / "rows.parquet"), tmp_path / "out") == (10, 1)
    assert pq.read_table(tmp_path / "out/rows.parquet").num_rows == 10


@pytest.mark.parametrize("out", ["scores.parquet", "scores"])
@pytest.mark.parametrize("lengths", [(), (4, 5), (10, 1)], ids=str)
def test_other_rows_than_the_footers_count_leave_nothing(
    rows: Path, tmp_path: Path, out: str, lengths: tuple[int, ...]
) -> None:
    scored = (SCORED.slice(0, length) for length in lengths)
    with pytest.raises(DataError, match=f"{sum(lengths)} rows were scored, but the footers count 10"):
        write_scores(scored, table_of("parquet", rows), tmp_path / "out" / out)
    assert [*(tmp_path / "out").iterdir()] == []


def test_an_error_on_the_way_leaves_the_earlier_file(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("before")

    def broken() -> Iterator[pa.Table]:
        yield SCORED.slice(0, 4)
        raise DataError([])

    with pytest.raises(DataError):
        write_scores(broken(), table_of("parquet", rows), out)
    assert out.read_text() == "before" and sorted(file.name for file in tmp_path.iterdir()) == ["rows", "scores.csv"]


def test_a_type_that_csv_cannot_hold_is_refused(rows: Path, tmp_path: Path) -> None:
    nested = SCORED.append_column("set", pa.array([{"a": 1}] * 10))
    with pytest.raises(DataError, match=r"scores.*Unsupported Type:struct") as told:
        write_scores(iter([nested]), table_of("parquet", rows), tmp_path / "scores.csv")
    assert told.value.problems[0].fix == "write Parquet"


def test_the_ending_says_what_is_written(tmp_path: Path) -> None:
    assert all(means_file(tmp_path / name) for name in ("a.parquet", "a.PQ", "a.parq", "a.csv"))
    assert not means_file(tmp_path / "scores") and not means_file(tmp_path)
    with pytest.raises(
        SpecError, match=r"--out: there is no kind of file '\.xlsx' .*Fix: end it with \.parquet or \.csv"
    ):
        means_file(tmp_path / "scores.xlsx")


def test_a_folder_that_holds_something_and_a_file_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "scores").write_text("mine")
    with pytest.raises(StorageError, match="scores: is a file, and no folder"):
        means_file(tmp_path / "scores")
    with pytest.raises(StorageError, match="holds 1 files or folders already"):
        means_file(tmp_path)
    assert (tmp_path / "scores").read_text() == "mine"


def test_sets_are_lists_in_parquet_and_json_in_csv(rows: Path, tmp_path: Path) -> None:
    sets = [["a"], ["a", "b, c"]] * 5
    scored = SCORED.append_column("set", pa.array(sets))
    for name, expected in (("scores.parquet", sets), ("scores.csv", ['["a"]', '["a", "b, c"]'] * 5)):
        assert write_scores(iter([scored]), table_of("parquet", rows), tmp_path / name) == (10, 1)
        read = pacsv.read_csv if name.endswith("csv") else pq.read_table
        assert read(tmp_path / name)["set"].to_pylist() == expected


def test_scores_never_replace_the_rows_nor_stand_among_them(rows: Path, tmp_path: Path) -> None:
    files = table_of("parquet", rows).footers["labels"].files
    (tmp_path / "link.parquet").symlink_to(rows / "a.parquet")
    for out in (rows / "a.parquet", rows / ".." / "rows" / "a.parquet", tmp_path / "link.parquet"):
        with pytest.raises(SpecError, match="is a file of --rows, and would be lost"):
            refuse_own_rows(out, str(rows / "*.parquet"), files)
    for out in (rows / "scores.csv", rows / "scores"):
        with pytest.raises(SpecError, match="the next time, the scores would be read as rows"):
            refuse_own_rows(out, str(rows), files)
        refuse_own_rows(out, str(rows / "*.parquet"), files)
    refuse_own_rows(tmp_path / "rows.parquet", str(rows), files)


def test_a_path_below_a_file_cannot_be_written(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_scores(blocks(10), table_of("parquet", rows), tmp_path / "x" / "scores.csv")
