"""What every source must do: tell of a table from its footers, and read the same rows whole, counted and in pieces."""

import pickle
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.sources._base import Source, kind_at, source_of
from ray_pipeline.errors import DataError

ROWS, PARTS = 60, 3
TABLE = pa.table(
    {
        "id": pa.array(range(ROWS), pa.int64()),
        "amount": [None if i % 7 == 0 else i / 3 for i in range(ROWS)],
        "text": [None if i % 5 == 0 else f"t{i % 4}" for i in range(ROWS)],
        "moment": pa.array([datetime(2024, 1, 1 + i % 28, i % 24) for i in range(ROWS)], pa.timestamp("us")),
    }
)


def parts(table: pa.Table) -> list[pa.Table]:
    size = table.num_rows // PARTS
    return [table.slice(part * size, size if part < PARTS - 1 else None) for part in range(PARTS)]


def parquet(folder: Path, table: pa.Table) -> Path:
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(parts(table)):
        pq.write_table(part, folder / f"{number}.parquet", row_group_size=7)
    return folder


def csv(folder: Path, table: pa.Table) -> Path:
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(parts(table)):
        pa.csv.write_csv(part, folder / f"{number}.csv")
    return folder


def delta(folder: Path, table: pa.Table) -> Path:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    for part in parts(table):
        deltalake.write_deltalake(str(folder), part, mode="append")
    return folder


def iceberg(folder: Path, table: pa.Table) -> Path:
    pytest.importorskip("pyiceberg", reason="the extra `iceberg` is not installed")
    from pyiceberg.catalog.sql import SqlCatalog

    folder.mkdir(exist_ok=True)
    with SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}") as catalog:
        catalog.create_namespace("n")
        created = catalog.create_table("n.t", schema=table.schema)
        for part in parts(table):
            created.append(part)
    return next(path.parent for path in folder.rglob("metadata") if path.is_dir())


WRITERS: dict[str, Callable[[Path, pa.Table], Path]] = {
    "parquet": parquet,
    "csv": csv,
    "delta": delta,
    "iceberg": iceberg,
    "sql": parquet,  # where a run has put the rows
}
PARAMETERS = {"sql": {"url": "sqlite:///rates.db", "query": "SELECT * FROM rates"}}
KINDS = pytest.mark.parametrize("kind", menu("sources"))


def written(kind: str, folder: Path, table: pa.Table = TABLE) -> Source:
    return source_of(kind, "rates", str(WRITERS[kind](folder, table)), PARAMETERS.get(kind))


def cells(table: pa.Table) -> list[dict[str, Any]]:
    """The rows as plain values: sources may differ in the unit of a time."""
    return table.to_pylist()  # type: ignore[no-any-return]


def by_id(table: pa.Table) -> list[dict[str, Any]]:
    return cells(table.sort_by("id"))


def test_every_source_of_the_folder_is_tried_here() -> None:
    assert set(menu("sources")) == set(WRITERS)


@KINDS
def test_its_footers_tell_rows_columns_files_and_bytes(kind: str, tmp_path: Path) -> None:
    source = written(kind, tmp_path / "t")
    footers = source.footers()
    assert footers.num_rows == ROWS and len(footers.files) == PARTS
    assert footers.schema.names == TABLE.column_names
    assert [str(field.type).partition("[")[0] for field in footers.schema] == ["int64", "double", "string", "timestamp"]
    assert footers.num_bytes == sum(footers.file_bytes) > 0
    assert set(footers.column_bytes) == set(TABLE.column_names)
    assert all(plain > 0 for _, plain in footers.column_bytes.values())
    assert footers.bytes_of(["id", "text"])[1] < footers.bytes_of(TABLE.column_names)[1]
    assert not footers.uneven and not footers.unified and not footers.partial
    assert source.unreadable(TABLE.column_names) is None


@KINDS
def test_it_reads_a_small_table_whole_with_its_columns_in_the_order_asked_for(kind: str, tmp_path: Path) -> None:
    source = written(kind, tmp_path / "t")
    assert by_id(source.table(TABLE.column_names)) == cells(TABLE)
    two = source.table(["text", "id"])
    assert two.column_names == ["text", "id"] and by_id(two) == cells(TABLE.select(["text", "id"]))


@KINDS
def test_it_travels_to_a_worker_as_its_fields_alone_after_it_was_read(kind: str, tmp_path: Path) -> None:
    source = written(kind, tmp_path / "t")
    source.footers()
    sent = pickle.dumps(source)
    assert len(sent) < 1_000
    there = pickle.loads(sent)
    assert there == source_of(kind, "rates", source.path, PARAMETERS.get(kind)) and there.footers().num_rows == ROWS


@KINDS
def test_it_counts_what_a_condition_keeps(kind: str, tmp_path: Path) -> None:
    source = written(kind, tmp_path / "t")
    for keep in (pc.field("id") >= 40, pc.field("text") == "t1", pc.field("amount").is_null(), pc.field("id") < 0):
        assert source.count(keep) == TABLE.filter(keep).num_rows


@KINDS
@pytest.mark.parametrize("rows", [1, 10, 1000])
def test_its_pieces_are_the_table_in_file_order(ray_local: None, kind: str, rows: int, tmp_path: Path) -> None:
    source = written(kind, tmp_path / "t")
    footers, columns = source.footers(), ["text", "id", "moment"]
    pieces = [read() for read in source.pieces(footers, columns, rows)]
    assert all(piece.column_names == columns for piece in pieces)
    joined = pa.concat_tables(pieces)
    assert joined["id"].to_pylist() == source.table(["id"])["id"].to_pylist()
    assert by_id(joined) == cells(TABLE.select(columns))
    assert len(pieces) == 1 if rows == 1000 else len(pieces) > 1
    assert max(piece.num_rows for piece in pieces) <= max(rows, ROWS // PARTS)


@KINDS
def test_its_pieces_hold_only_what_a_condition_keeps(ray_local: None, kind: str, tmp_path: Path) -> None:
    source = written(kind, tmp_path / "t")
    keep = (pc.field("amount") > 5) & (pc.field("id") != 30)
    pieces = [read() for read in source.pieces(source.footers(), ["id", "text"], 10, keep)]
    assert by_id(pa.concat_tables(pieces)) == cells(TABLE.filter(keep).select(["id", "text"]))
    assert not any(read().num_rows for read in source.pieces(source.footers(), ["id"], 10, pc.field("id") < 0))


@KINDS
def test_its_fingerprint_is_that_of_the_content(kind: str, tmp_path: Path) -> None:
    source = written(kind, tmp_path / "t")
    again = type(source)(name="rates", path=source.path, **PARAMETERS.get(kind, {}))
    assert source.footers().fingerprint == again.footers().fingerprint
    changed = TABLE.set_column(1, "amount", pc.add(TABLE["amount"], 1.0))
    assert written(kind, tmp_path / "changed", changed).footers().fingerprint != source.footers().fingerprint


@KINDS
def test_an_absent_path_is_told_with_the_table_s_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rates: ") as told:
        source_of(kind, "rates", str(tmp_path / "nowhere"), PARAMETERS.get(kind)).footers()
    (problem,) = told.value.problems
    assert problem.stage == "read" and problem.file and problem.fix


def test_a_path_s_ending_says_its_kind_where_nobody_does() -> None:
    assert kind_at("s3://lake/rows.CSV") == "csv"
    assert {kind_at(path) for path in ("rows.parquet", "rows.pq", "rows", "rows.txt")} == {"parquet"}
    for kind in menu("sources"):
        assert all(kind_at(f"rows{ending}") == kind for ending in find("sources", kind).endings)
