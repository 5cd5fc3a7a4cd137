"""The columns of Iceberg and Delta tables are those of their schema, whatever their files call them. The oracles are
pyiceberg's own scan and deltalake's query engine."""

import json
import string
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ray_pipeline.components.choice import find
from ray_pipeline.components.sources._base import Source
from ray_pipeline.errors import DataError, StorageError


def source(kind: str, path: object, **more: object) -> Source:
    return find("sources", kind)(name="rates", path=str(path), **more)  # type: ignore[no-any-return]


def cells(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: row["id"])


def check(read: Source, oracle: pa.Table) -> None:
    """The rows whole, in pieces, kept by conditions, and counted, against another reader."""
    footers, names = read.footers(), oracle.column_names
    assert footers.schema.names == names and not footers.uneven
    assert cells(read.table(names)) == cells(oracle)
    assert cells(pa.concat_tables(piece() for piece in read.pieces(footers, names, 1))) == cells(oracle)
    for name in names:
        known = oracle[name].drop_null().to_pylist()[:1]
        equal = [(pc.field(name) == value) & (pc.field("id") < 100) for value in known]
        for keep in (pc.field(name).is_null(), *equal):
            kept = cells(oracle.filter(keep))
            assert read.count(keep) == len(kept)
            pieces = [piece() for piece in read.pieces(footers, ["id", name], 1, keep)]
            wanted = [{"id": row["id"], name: row[name]} for row in kept]
            assert cells(pa.concat_tables(pieces)) == wanted
    assert read.unreadable(names) is None
    assert set(footers.column_bytes) <= set(names)


class Ice:
    """An Iceberg table of a catalog in a folder."""

    def __init__(self, folder: Path) -> None:
        from pyiceberg.catalog.sql import SqlCatalog

        self.folder = folder
        self.catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}")
        self.catalog.create_namespace("n")

    def create(self, **columns: Any) -> None:
        table = pa.table(columns)
        self.catalog.create_table("n.t", schema=table.schema)
        self.table.append(table)

    @property
    def table(self) -> Any:
        return self.catalog.load_table("n.t")

    def change(self, work: Callable[[Any], object]) -> None:
        with self.table.update_schema() as update:
            work(update)

    def source(self, **more: object) -> Source:
        return source("iceberg", self.table.location().removeprefix("file://"), **more)

    def check(self, snapshot: int | None = None) -> None:
        check(self.source(snapshot=snapshot), self.table.scan(snapshot_id=snapshot).to_arrow())

    def add(self, name: str, partition: Sequence[object], kind: str = "DATA", **columns: Any) -> None:
        """A file that another program wrote."""
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.typedef import Record

        path, table = self.folder / f"{name}.parquet", pa.table(columns)
        pq.write_table(table, path)
        file = DataFile.from_args(
            content=DataFileContent[kind],
            file_path=f"file:{path}",  # as Spark writes it
            file_format=FileFormat.PARQUET,
            partition=Record(*partition),
            record_count=table.num_rows,
            file_size_in_bytes=path.stat().st_size,
            spec_id=self.table.spec().spec_id,
            **dict.fromkeys(("sort_order_id", "equality_ids", "key_metadata", "split_offsets")),
            **{f"{one}s": {} for one in ("column_size", "value_count", "null_value_count", "nan_value_count")},
            lower_bounds={},
            upper_bounds={},
        )
        with self.table.transaction() as change, change.update_snapshot().fast_append() as append:
            append.append_data_file(file)

    def map_names(self) -> None:
        from pyiceberg.table.name_mapping import create_mapping_from_schema

        mapping = create_mapping_from_schema(self.table.schema()).model_dump_json()
        with self.table.transaction() as change:
            change.set_properties({"schema.name-mapping.default": mapping})


@pytest.fixture
def ice(tmp_path: Path) -> Iterator[Ice]:
    pytest.importorskip("pyiceberg", reason="the extra `iceberg` is not installed")
    made = Ice(tmp_path)
    yield made
    made.catalog.close()


def test_an_iceberg_column_that_was_dropped_is_gone_and_one_of_its_name_is_another(ice: Ice) -> None:
    from pyiceberg.types import DoubleType, StringType

    ice.create(id=[1, 2], x=[1.0, 2.0])
    first = ice.table.current_snapshot().snapshot_id
    before = ice.source().footers().fingerprint
    ice.change(lambda update: update.delete_column("x"))
    ice.check()
    ice.change(lambda update: update.add_column("x", DoubleType()))
    ice.check()
    assert ice.source().footers().fingerprint != before
    ice.table.append(pa.table({"id": [3], "x": [3.0]}))
    ice.check()
    ice.change(lambda update: update.delete_column("x"))
    ice.change(lambda update: update.add_column("x", StringType()))
    ice.table.append(pa.table({"id": [4], "x": ["a"]}))
    ice.check()
    ice.check(first)


def test_an_iceberg_column_is_the_one_with_its_id_under_any_name(ice: Ice) -> None:
    from pyiceberg.types import LongType, StringType

    ice.create(id=[1, 2], **{"my col": [1, 2], "1st": ["x", None], "a-b": [1.5, 2.5], "a.b": [3, 4], "größe": [5, 6]})
    ice.check()
    ice.change(lambda update: update.rename_column("my col", "old"))
    ice.change(lambda update: update.rename_column("größe", "my col"))
    ice.change(lambda update: update.add_column("new", StringType()))
    ice.change(lambda update: update.add_column(("added",), LongType()))
    ice.check()
    assert ice.source().footers().partial == {"new": 0, "added": 0}
    with ice.table.update_schema() as update:
        update.move_first("a-b")
    ice.table.append(ice.table.scan(row_filter="id = 1").to_arrow())
    ice.table.delete("id = 2")
    assert ice.source().footers().schema.names[0] == "a-b"


def test_an_iceberg_column_has_the_type_of_the_table_in_files_from_before_its_promotion(ice: Ice) -> None:
    from pyiceberg.types import DoubleType, LongType

    ice.create(id=pa.array([1, 2], pa.int32()), x=pa.array([0.1, None], pa.float32()))
    ice.change(lambda update: update.update_column("id", LongType()).update_column("x", DoubleType()))
    ice.check()
    assert ice.source().footers().schema.types == [pa.int64(), pa.float64()]


def test_iceberg_files_without_ids_have_the_names_of_the_table_s_name_mapping(ice: Ice) -> None:
    ice.catalog.create_table("n.t", schema=pa.schema([("id", pa.int64()), ("a", pa.float64())]))
    ice.add("raw", (), id=[1, 2], a=[1.0, 2.0])
    with pytest.raises(
        DataError, match=r"its 2 columns have no field ids, and the table no `schema\.name-mapping\.def"
    ):
        ice.source().footers()
    ice.map_names()
    ice.check()
    ice.change(lambda update: update.rename_column("a", "b"))
    ice.check()
    ice.table.append(pa.table({"id": [3], "b": [3.0]}))
    ice.check()
    ice.add("twice", (), id=[4], a=[1.0], b=[2.0])
    with pytest.raises(DataError, match=r"its columns 'a' and 'b' are one column in `schema\.name-mapping\.default`"):
        ice.source().footers()


def test_the_partitions_of_an_iceberg_table_that_came_from_hive_are_in_its_manifests(ice: Ice) -> None:
    types = [("id", pa.int64()), ("r", pa.string()), ("day", pa.date32()), ("at", pa.timestamp("us", "UTC"))]
    ice.catalog.create_table("n.t", schema=pa.schema(types))
    with ice.table.update_spec() as update:
        for name in ("r", "day", "at"):
            update.add_identity(name)
    ice.map_names()
    ice.add("u", ("u", 19_000, 1_600_000_000_000_000), id=[1, 2])
    ice.add("v", ("v", 19_001, 0), id=[3])
    ice.add("none", (None, None, None), id=[4])
    ice.check()
    ice.table.append(pa.table({"id": [5], "r": ["w"], "day": [None], "at": [None]}, schema=pa.schema(types)))
    ice.check()
    ice.change(lambda update: update.rename_column("r", "region"))
    ice.check()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("POSITION_DELETES", "rows of 1 of 1 files are deleted by delete files"),
        ("EQUALITY_DELETES", "equality deletes"),
    ],
)
def test_an_iceberg_table_with_delete_files_is_refused(ice: Ice, kind: str, told: str) -> None:
    ice.create(id=[1, 2])
    ice.add("deleted", (), kind, id=[1])
    with pytest.raises(DataError, match=f"{told}, which cannot be read · Fix: compact the table"):
        ice.source().footers()


def field(name: str, type_: str, number: int, physical: str) -> dict[str, Any]:
    mapped = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": physical}
    return {"name": name, "type": type_, "nullable": True, "metadata": mapped}


BY_VERSION = {"minReaderVersion": 2, "minWriterVersion": 5}
SWAPPED = [field("id", "long", 1, "id"), field("a", "double", 2, "b"), field("b", "double", 3, "a")]


def by_features(*names: str) -> dict[str, Any]:
    return {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": names, "writerFeatures": names}


def write_delta(
    folder: Path,
    protocol: Mapping[str, Any],
    fields: Sequence[Mapping[str, Any]],
    files: Mapping[str, tuple[pa.Table, Mapping[str, Any]]],
    mode: str = "none",
    partitions: Sequence[str] = (),
    **more: object,
) -> None:
    """A table with this log; `files` has the rows of each, and the values of its partitions."""
    (folder / "_delta_log").mkdir(parents=True)
    schema = {"type": "struct", "fields": fields}
    meta = {
        "id": "a",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(schema),
        "partitionColumns": partitions,
        "configuration": {"delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "9"},
        "createdTime": 0,
    }
    actions: list[dict[str, Any]] = [{"protocol": protocol}, {"metaData": meta}]
    for name, (table, values) in files.items():
        pq.write_table(table, folder / name, use_deprecated_int96_timestamps=name.startswith("int96"))
        size, stats = (folder / name).stat().st_size, json.dumps({"numRecords": table.num_rows})
        add = {"path": name, "partitionValues": values, "size": size, "modificationTime": 0, "stats": stats, **more}
        actions.append({"add": {**add, "dataChange": True}})
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))


def asked(folder: Path) -> pa.Table:
    import deltalake

    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(str(folder))).execute("select * from t")
    table = pa.table(query.read_all())
    texts = {one.name: pa.string() for one in table.schema if pa.types.is_string_view(one.type)}
    return table.cast(pa.schema([pa.field(one.name, texts.get(one.name, one.type)) for one in table.schema]))


@pytest.mark.parametrize("protocol", [BY_VERSION, by_features("columnMapping")], ids=["version", "feature"])
def test_the_mapped_columns_of_delta_are_those_of_its_log(tmp_path: Path, protocol: Mapping[str, Any]) -> None:
    pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    files = {
        "0.parquet": (pa.table({"id": [1, 2], "a": [1.0, 2.0], "b": [10.0, 20.0], "gone": [0, 0]}), {"col-4": "u"}),
        "1.parquet": (pa.table({"id": [3], "b": [30.0]}), {"col-4": None}),
    }
    fields = [*SWAPPED, field("r", "string", 4, "col-4")]
    write_delta(tmp_path / "t", protocol, fields, files, "name", ["r"])
    check(source("delta", tmp_path / "t"), asked(tmp_path / "t"))
    assert cells(asked(tmp_path / "t"))[0] == {"id": 1, "a": 10.0, "b": 1.0, "r": "u"}


def test_columns_of_delta_that_are_mapped_by_id_have_the_ids_of_files(tmp_path: Path) -> None:
    pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    given = pa.table({"x": [1, 2], "y": [1.0, 2.0], "id": [5, 6]})
    ids = {"x": "1", "y": "3", "id": "7"}
    schema = pa.schema([one.with_metadata({"PARQUET:field_id": ids[one.name]}) for one in given.schema])
    write_delta(tmp_path / "t", BY_VERSION, SWAPPED, {"0.parquet": (given.cast(schema), {})}, "id")
    read = source("delta", tmp_path / "t")
    assert read.table(["id", "a", "b"]).to_pydict() == {"id": [1, 2], "a": [None, None], "b": [1.0, 2.0]}


def test_a_delta_table_has_the_columns_and_types_of_its_log(tmp_path: Path) -> None:
    """Dropped columns stay in files, new ones are in none, and Spark's INT96 are moments in UTC."""
    pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    old = {"minReaderVersion": 1, "minWriterVersion": 2}
    moments, utc = pa.array([0, 10**15], pa.timestamp("us")), pa.timestamp("us", "UTC")
    files = {
        "0.parquet": (pa.table({"id": [1, 2], "gone": [9, 9], "p": [0, 0], "at": moments.cast(utc)}), {"p": "5"}),
        "int96.parquet": (pa.table({"id": pa.array([3, 4], pa.int32()), "at": moments}), {"p": None}),
    }
    names = {"id": "long", "new": "string", "at": "timestamp", "p": "long"}
    fields = [{"name": name, "type": type_, "nullable": True, "metadata": {}} for name, type_ in names.items()]
    write_delta(tmp_path / "t", old, fields, files, partitions=["p"])
    check(source("delta", tmp_path / "t"), asked(tmp_path / "t"))


def test_a_column_in_a_type_that_the_log_does_not_allow_is_refused_if_it_is_read(tmp_path: Path) -> None:
    pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    fields = [{"name": name, "type": "long", "nullable": True, "metadata": {}} for name in ("id", "x")]
    files = {"0.parquet": (pa.table({"id": [1], "x": ["5"]}), {}), "1.parquet": (pa.table({"id": [2], "x": [6]}), {})}
    write_delta(tmp_path / "t", {"minReaderVersion": 1, "minWriterVersion": 2}, fields, files)
    problem = source("delta", tmp_path / "t").footers().uneven["x"]
    assert "column 'x' is string in 1 files, and int64 in the schema of the table" in problem.found


def deleted_first_row() -> dict[str, Any]:
    """A deletion vector in the log: a 64-bit roaring bitmap that holds 0, in Z85."""
    bitmap = struct.pack("<iqiIIHHIH", 1_681_511_377, 1, 0, 12_346, 1, 0, 0, 16, 0)
    padded = bitmap + b"\0" * (-len(bitmap) % 4)
    signs = f"{string.digits}{string.ascii_lowercase}{string.ascii_uppercase}.-:+=^!/*?&<>()[]{{}}@%$#"
    words = struct.unpack(f">{len(padded) // 4}I", padded)
    text = "".join(signs[word // 85**power % 85] for word in words for power in (4, 3, 2, 1, 0))
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(bitmap), "cardinality": 1}


def test_a_delta_table_with_deletion_vectors_is_refused_once_a_row_is_deleted_by_one(tmp_path: Path) -> None:
    pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    protocol, fields = by_features("deletionVectors", "columnMapping"), SWAPPED[:1]
    files = {"0.parquet": (pa.table({"id": [1, 2]}), {})}
    write_delta(tmp_path / "all", protocol, fields, files)
    check(source("delta", tmp_path / "all"), asked(tmp_path / "all"))
    write_delta(tmp_path / "some", protocol, fields, files, deletionVector=deleted_first_row())
    assert asked(tmp_path / "some")["id"].to_pylist() == [2]
    with pytest.raises(DataError, match="rows of 1 of 1 files are deleted by deletion vectors") as refused:
        source("delta", tmp_path / "some").footers()
    assert "REORG TABLE" in refused.value.problems[0].fix


@pytest.mark.parametrize(("feature", "told"), [("catalogManaged", "catalog-managed table"), ("tomorrow", "'tomorrow'")])
def test_a_delta_table_with_a_feature_that_nobody_here_knows_is_refused(
    tmp_path: Path, feature: str, told: str
) -> None:
    pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    write_delta(tmp_path / "t", by_features(feature), SWAPPED, {"0.parquet": (pa.table({"id": [1]}), {})})
    with pytest.raises(StorageError, match=f"{told}.*copy a table with features that cannot be read to one without"):
        source("delta", tmp_path / "t").footers()
