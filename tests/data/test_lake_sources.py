"""CSV, Delta Lake, Iceberg and an S3 server: each read with the real library's own files, or refused with its
remedy."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.sources._base import Source, kind_at
from ray_pipeline.data.fixed_tables import with_fixed_tables
from ray_pipeline.data.open_tables import open_source
from ray_pipeline.errors import DataError, SpecError, StorageError
from ray_pipeline.runtime.scan import map_pieces
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

TABLE = pa.table({"a": pa.array([1, 2, 3, 4], pa.int64()), "b": ["x", "y", None, "x"], "p": ["u", "u", "v", "v"]})


def source(kind: str, path: object, **more: object) -> Source:
    return find("sources", kind)(name="rates", path=str(path), **more)  # type: ignore[no-any-return]


def rows(source: Source) -> list[tuple[int, str | None, str]]:
    return sorted((row["a"], row["b"], row["p"]) for row in source.table(["a", "b", "p"]).to_pylist())


def expected(table: pa.Table = TABLE) -> list[tuple[int, str | None, str]]:
    return sorted((row["a"], row["b"], row["p"]) for row in table.to_pylist())


def check(source: Source, table: pa.Table = TABLE) -> None:
    """All that a reading needs, against the rows at hand."""
    footers = source.footers()
    assert footers.num_rows == table.num_rows
    assert set(table.column_names) <= set(footers.schema.names)
    assert rows(source) == expected(table)
    assert source.count(pc.field("a") > 2) == sum(a > 2 for a in table["a"].to_pylist())
    pieces = [read() for read in source.pieces(footers, ["b", "p"], 1, pc.field("a") > 1)]
    assert sorted(map(repr, pa.concat_tables(pieces).to_pylist())) == sorted(
        repr({"b": row["b"], "p": row["p"]}) for row in table.to_pylist() if row["a"] > 1
    )


def test_the_sources_of_the_folder_are_these() -> None:
    assert set(menu("sources")) >= {"parquet", "csv", "delta", "iceberg"}


def test_csv_is_read_with_types_of_all_its_rows_and_empty_cells_as_null(ray_local: None, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a,b,p,t,z\n1,x,u,2024-01-01 10:00:00,007\n2,y,u,2024-01-02 00:00:00,8\n")
    (tmp_path / "two.csv").write_text("a,b,p,t,z\n3,,v,2024-01-03 00:00:00,9\n4,x,v,,10\n")
    csv = source("csv", tmp_path)
    check(csv)
    assert csv.footers().schema.field("a").type == pa.int64()
    assert pa.types.is_timestamp(csv.footers().schema.field("t").type)
    assert csv.table(["t"])["t"].null_count == 1
    assert csv.footers().fingerprint == source("csv", tmp_path).footers().fingerprint
    (tmp_path / "two.csv").write_text("a,b,p,t,z\n3,,v,2024-01-03 00:00:00,9\n4,x,v,,11\n")
    assert csv.footers().fingerprint != source("csv", tmp_path).footers().fingerprint


def test_windows_line_ends_in_csv_belong_to_no_value(tmp_path: Path) -> None:
    text = "a,b,z\n1,x,007\n2,,8\n3,y,9\n"
    (tmp_path / "unix.csv").write_bytes(text.encode())
    (tmp_path / "windows.csv").write_bytes(text.replace("\n", "\r\n").encode())
    unix, windows = (source("csv", tmp_path / f"{name}.csv").table(["a", "b", "z"]) for name in ("unix", "windows"))
    assert windows.equals(unix) and windows["b"].to_pylist() == ["x", None, "y"]


def test_a_type_is_that_of_the_column_with_its_name_even_if_the_header_has_none(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(",zip\n001,02138\n002,NA\n")
    types = {"column_1": "text", "zip": "text"}
    assert source("csv", tmp_path / "one.csv", types=types).table(["column_1", "zip"]).to_pydict() == {
        "column_1": ["001", "002"],
        "zip": ["02138", "NA"],
    }
    with pytest.raises(DataError) as raised:
        source("csv", tmp_path / "one.csv", types={"zpi": "text"}).footers()
    (problem,) = raised.value.problems
    assert problem.found == "rates: `types` names 'zpi', and the header has no such column"
    assert problem.fix == "did you mean 'zip'? 'column_1', 'zip' are there"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2,3\n", "the header has 2 columns, and 1 row with another number of values; record 2 has 3"),
        ("a,b\n", "0 rows in 1 files"),
        ("", "Empty CSV file"),
        ("a,a\n1,2\n", "'a' appears twice"),
    ],
)
def test_a_bad_csv_file_is_reported(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "one.csv").write_text(text)
    with pytest.raises(DataError) as raised:
        source("csv", tmp_path / "one.csv").footers()
    assert message in raised.value.problems[0].found


def test_a_csv_header_in_another_encoding_is_reported_and_read_once_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_bytes("größe,y\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="can't decode byte 0xf6") as raised:
        source("csv", tmp_path / "one.csv").footers()
    assert raised.value.problems[0].fix == "name the file's `encoding`, such as latin-1"
    named = find("sources", "csv")(name="rates", path=str(tmp_path / "one.csv"), encoding="latin-1")
    assert named.footers().schema.names == ["größe", "y"]


def test_delta_is_read_as_its_log_says(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    deltalake.write_deltalake(str(tmp_path / "t"), TABLE.slice(0, 2), partition_by=["p"])
    deltalake.write_deltalake(str(tmp_path / "t"), TABLE.slice(2), mode="append")
    check(source("delta", tmp_path / "t"))
    before = source("delta", tmp_path / "t").footers().fingerprint
    deltalake.DeltaTable(str(tmp_path / "t")).delete("a = 1")
    gone = source("delta", tmp_path / "t")
    assert rows(gone) == expected(TABLE.slice(1))  # the old file is still in the folder
    assert gone.footers().fingerprint != before
    with pytest.raises(DataError, match="there is no Delta table"):
        source("delta", tmp_path).footers()


def test_the_partitions_of_a_delta_table_have_the_values_and_types_of_its_log(tmp_path: Path) -> None:
    """Folder names would say int64 for `code` and text for the others; an empty text is null in Delta."""
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    moment = datetime(2024, 1, 1, 3, 4, 5, tzinfo=UTC)
    partitions = {
        "code": ["1", "2", None, "10"],
        "year": pa.array([2024, 2025, 2025, None], pa.int32()),
        "flag": [True, False, True, None],
        "real": [1.5, 2.0, float("nan"), None],
        "moment": pa.array([moment] * 4, pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal("1.50")] * 4, pa.decimal128(10, 2)),
        "odd": ["a b/c", "x=y", "%41", ""],
    }
    table = pa.table({"a": pa.array([1, 2, 3, 4], pa.int64()), **partitions})
    for name in ("t", "a b 1"):
        deltalake.write_deltalake(str(tmp_path / name), table, partition_by=[*partitions])
        delta = source("delta", tmp_path / name)
        schema = delta.footers().schema
        assert {one: schema.field(one).type for one in table.column_names} == dict(
            zip(table.schema.names, table.schema.types, strict=True)
        )
        read = sorted(delta.table(table.column_names).to_pylist(), key=lambda row: row["a"])
        expected = table.to_pylist()
        expected[2]["real"], expected[3]["odd"] = None, None
        assert read == expected
        assert delta.count(pc.field("year") == 2025) == 2 and delta.count(pc.field("code") == "10") == 1


def test_iceberg_is_read_as_its_newest_snapshot_says(tmp_path: Path) -> None:
    pytest.importorskip("pyiceberg", reason="the extra `iceberg` is not installed")
    from pyiceberg.catalog.sql import SqlCatalog

    with SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}") as catalog:
        catalog.create_namespace("n")
        table = catalog.create_table("n.t", schema=TABLE.schema)
        folder = tmp_path / "n" / "t" if (tmp_path / "n" / "t").exists() else tmp_path / "n.db" / "t"
        table.append(TABLE.slice(0, 2))
        table.append(TABLE.slice(2))
        check(source("iceberg", folder))
        table.overwrite(TABLE.slice(1))
        assert rows(source("iceberg", folder)) == expected(TABLE.slice(1))
        with table.update_schema() as update:
            update.rename_column("b", "c")
        renamed = source("iceberg", folder)
        assert renamed.table(["c", "a"]).to_pydict() == {"c": ["y", None, "x"], "a": [2, 3, 4]}
        with pytest.raises(DataError, match="there is no Iceberg table"):
            source("iceberg", tmp_path / "nowhere").footers()


@pytest.mark.parametrize("file", ["*.metadata.json", "snap-*.avro", "*-m0.avro"])
@pytest.mark.parametrize(
    "damaged",
    [lambda content: content[: len(content) // 2], lambda _: b"", lambda content: bytes(reversed(content))],
    ids=["cut", "empty", "reversed"],
)
def test_damaged_metadata_of_iceberg_is_named(tmp_path: Path, file: str, damaged: Callable[[bytes], bytes]) -> None:
    pytest.importorskip("pyiceberg", reason="the extra `iceberg` is not installed")
    from pyiceberg.catalog.sql import SqlCatalog

    with SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}") as catalog:
        catalog.create_namespace("n")
        catalog.create_table("n.t", schema=TABLE.schema).append(TABLE)
    newest = max(tmp_path.rglob(f"metadata/{file}"))
    newest.write_bytes(damaged(newest.read_bytes()))
    folder = newest.parents[1]
    with pytest.raises(StorageError, match=r"rates: its metadata cannot be read: .+ Fix: check the path") as refused:
        source("iceberg", folder).footers()
    assert refused.value.problems[0].file == str(folder) and refused.value.exit_code == 6


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a real S3 server of this machine; its address, as the environment names it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fs = pafs.S3FileSystem(
        endpoint_override=f"http://{host}:{port}",
        access_key="test",
        secret_key="test",
        region="us-east-1",
        allow_bucket_creation=True,
    )
    fs.create_dir("tables")
    yield "tables"
    server.stop()


def test_parquet_on_an_s3_server_is_found_by_folder_and_glob(s3: str, tmp_path: Path) -> None:
    fs, _ = pafs.FileSystem.from_uri(f"s3://{s3}/x")
    for part in range(2):
        with fs.open_output_stream(f"{s3}/rates/p={'uv'[part]}/{part}.parquet") as stream:
            pq.write_table(TABLE.slice(part * 2, 2).drop_columns("p"), stream)
    for path in ("rates", "rates/p=*/*.parquet"):
        check(source("parquet", f"s3://{s3}/{path}"))
    with pytest.raises(DataError, match="there is no such file or folder"):
        source("parquet", f"s3://{s3}/rats").footers()


def scanned(read: Source, columns: list[str], keep: pc.Expression | None = None) -> pa.Table:
    return pa.concat_tables(
        map_pieces(read.pieces(read.footers(), columns, 3, keep), lambda rows: rows, 2).iter_batches(
            batch_size=None, batch_format="pyarrow"
        )
    )


def test_ray_reads_what_each_source_says_projected_and_filtered(ray_local: None, tmp_path: Path) -> None:
    import pyarrow.csv

    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    pyarrow.csv.write_csv(TABLE, tmp_path / "one.csv")
    deltalake.write_deltalake(str(tmp_path / "delta"), TABLE, partition_by=["p"])
    for year in (2023, 2024):
        (tmp_path / "hive" / f"year={year}").mkdir(parents=True)
        pq.write_table(TABLE.drop_columns("p"), tmp_path / "hive" / f"year={year}" / "0.parquet", row_group_size=1)
    for kind, path in (("csv", "one.csv"), ("delta", "delta")):
        read = scanned(source(kind, tmp_path / path), ["a", "p"], pc.field("a") > 1).to_pandas().sort_values("a")
        assert read.to_dict("list") == {"a": [2, 3, 4], "p": ["u", "v", "v"]}
    hive = source("parquet", tmp_path / "hive")
    rows_read = scanned(hive, ["a", "year"])
    assert pa.types.is_integer(rows_read["year"].type) and pa.types.is_integer(hive.footers().schema.field("year").type)
    assert (rows_read["year"].to_pylist(), rows_read["a"].to_pylist()) == ([2023] * 4 + [2024] * 4, [1, 2, 3, 4] * 2)
    none = hive.pieces(hive.footers(), ["a"], 3, pc.field("year") == 2030)
    assert map_pieces(none, lambda rows: rows, 2).count() == 0


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAKE = """\
name: lake
task: binary
features: {{labels: {{path: {path}, kind: {kind}, label: a > 2, {pin}}}}}
split: {{by: random}}
model: xgboost
"""


def lake_spec(kind: str, path: Path, pin: str) -> Spec:
    return Spec.from_text(LAKE.format(kind=kind, path=path, pin=pin))


def pinned_rows(spec: Spec) -> list[tuple[int, str | None, str]]:
    return rows(open_source(spec, Where(), "labels"))


def stored(spec: Spec) -> dict[str, object]:
    return spec.as_data()["features"]["labels"]  # type: ignore[no-any-return]


def test_a_delta_table_is_read_at_a_version_or_as_of_a_moment_which_becomes_its_number(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    path = tmp_path / "t"
    for first in range(3):
        deltalake.write_deltalake(str(path), TABLE.slice(first, 1), mode="append")
    for version in range(3):  # a version is of the moment when its file of the log was written
        written = (EPOCH + timedelta(days=20_000 + version)).timestamp()
        os.utime(path / "_delta_log" / f"{version:020}.json", (written, written))
    assert pinned_rows(lake_spec("delta", path, "version: 0")) == expected(TABLE.slice(0, 1))
    moment = (EPOCH + timedelta(days=20_001)).isoformat()
    spec = with_fixed_tables(lake_spec("delta", path, f"as_of: '{moment}'"), Where())
    assert (stored(spec)["version"], "as_of" in stored(spec)) == (1, False)
    deltalake.write_deltalake(str(path), TABLE.slice(3), mode="append")
    again = Spec.from_text(spec.render())
    assert again == spec and pinned_rows(again) == expected(TABLE.slice(0, 2))
    newest = lake_spec("delta", path, "columns: [b]")
    assert with_fixed_tables(newest, Where()) is newest and len(pinned_rows(newest)) == 4
    for pin, told in (
        ("version: 9", "there is no version 9; the newest is 3"),
        (
            "as_of: 2001-01-01",
            r"no version as of 2001-01-01T00:00:00\+00:00; the first file of the log is of 2024-1",
        ),
    ):
        with pytest.raises(DataError, match=told):
            with_fixed_tables(lake_spec("delta", path, pin), Where())


def test_an_iceberg_table_is_read_at_a_snapshot_or_as_of_a_moment_which_becomes_its_number(tmp_path: Path) -> None:
    pytest.importorskip("pyiceberg", reason="the extra `iceberg` is not installed")
    from pyiceberg.catalog.sql import SqlCatalog

    with SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}") as catalog:
        catalog.create_namespace("n")
        table = catalog.create_table("n.t", schema=TABLE.schema)
        path = tmp_path / "n" / "t" if (tmp_path / "n" / "t").exists() else tmp_path / "n.db" / "t"
        table.append(TABLE.slice(0, 2))
        first = table.history()[0]
        table.append(TABLE.slice(2))
        assert pinned_rows(lake_spec("iceberg", path, f"snapshot: {first.snapshot_id}")) == expected(TABLE.slice(0, 2))
        moment = (EPOCH + timedelta(milliseconds=first.timestamp_ms)).isoformat()
        spec = with_fixed_tables(lake_spec("iceberg", path, f"as_of: '{moment}'"), Where())
        assert (stored(spec)["snapshot"], "as_of" in stored(spec)) == (first.snapshot_id, False)
        assert pinned_rows(Spec.from_text(spec.render())) == expected(TABLE.slice(0, 2))
        assert len(pinned_rows(lake_spec("iceberg", path, "columns: [b]"))) == 4
        for pin, told in (
            ("snapshot: 7", f"there is no snapshot 7; it may have expired. Known: {first.snapshot_id}"),
            ("as_of: 2001-01-01", "there is no snapshot as of 2001-01-01"),
        ):
            with pytest.raises(DataError, match=told):
                with_fixed_tables(lake_spec("iceberg", path, pin), Where())


@pytest.mark.parametrize(
    ("kind", "pin", "told"),
    [
        ("delta", "version: 1, as_of: 2026-01-01", "version and as_of exclude each other"),
        ("iceberg", "snapshot: 1, as_of: 2026-01-01", "snapshot and as_of exclude each other"),
        ("delta", "version: -1", "version: "),
        ("delta", "as_of: yesterday", "expected a date or a time such as 2026-01-31T12:00:00Z"),
        ("delta", "snapshot: 1", "unknown key 'snapshot'"),
        ("parquet", "version: 1", "unknown key 'version'"),
    ],
)
def test_a_version_that_means_nothing_is_refused_by_check(kind: str, pin: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        lake_spec(kind, Path("t"), pin)


def test_the_bare_files_of_delta_and_iceberg_are_refused_and_new_rows_are_read_by_the_log(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    table = tmp_path / "lake" / "delta"
    write_deltalake(str(table), TABLE)
    write_deltalake(str(table), TABLE.slice(0, 1), mode="overwrite")
    for path in (table, tmp_path / "lake", table / "*.parquet"):
        with pytest.raises(DataError, match=r"this is a Delta table.*write `kind: delta`"):
            source("parquet", path).footers()
    assert kind_at(str(table)) == "delta" and kind_at(str(table / "*.parquet")) == "parquet"
    text = "name: a\ntask: regression\nfeatures: {labels: {path: other, kind: delta, version: 7, label: a}}\n"
    spec = Spec.from_text(f"{text}split: {{by: random}}\nmodel: linear\n", folder=tmp_path)
    assert open_source(spec, Where(), "labels", str(table)).footers().num_rows == 1
    (tmp_path / "ice" / "metadata").mkdir(parents=True)
    (tmp_path / "ice" / "metadata" / "v1.metadata.json").write_text("{}")
    (tmp_path / "ice" / "data").mkdir()
    pq.write_table(TABLE, tmp_path / "ice" / "data" / "a.parquet")
    with pytest.raises(DataError, match=r"this is an Iceberg table.*write `kind: iceberg`"):
        source("parquet", tmp_path / "ice").footers()
    assert kind_at(str(tmp_path / "ice")) == "iceberg"
    check(source("parquet", tmp_path / "ice" / "data"))


def test_a_file_is_no_delta_table(tmp_path: Path) -> None:
    (tmp_path / "base.db").write_bytes(b"SQLite format 3")
    with pytest.raises(DataError, match="there is no Delta table"):
        source("delta", tmp_path / "base.db").footers()
