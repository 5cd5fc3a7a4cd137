"""Rows for a model have the types that it was trained on where the rows themselves have none: in names of folders and
in cells of CSV. The oracle is the same rows as Arrow's own table, which has types."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from ray_pipeline.components.choice import TRUST
from ray_pipeline.data.open_tables import open_source, open_tables
from ray_pipeline.data.read import checked_columns
from ray_pipeline.errors import DataError
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

SPEC = {"name": "m", "task": "binary", "split": {"by": "random"}, "model": "xgboost"}
TYPES = {"m": "string", "flag": "bool", "n": "int64", "day": "date32[day]", "p": "decimal128(4, 2)", "x": "double"}
ROWS = pa.table(
    {
        "x": [1.0, 2.0, 3.0],
        "m": ["10", "11", None],
        "flag": [True, False, None],
        "n": [1, 2, None],
        "day": [date(2024, 1, 1), date(2024, 1, 2), None],
        "p": pa.array([Decimal("1.50"), Decimal(2), None], pa.decimal128(4, 2)),
    }
)


def spec_of(folder: Path, labels: dict[str, Any] | None = None, **tables: Any) -> Spec:
    own = {"path": "train.parquet", "label": "y", **(labels or {})}
    return Spec.from_dict({**SPEC, "features": {"labels": own, **tables}}, folder=folder)


def text(value: Any) -> str:
    return "__HIVE_DEFAULT_PARTITION__" if value is None else str(value).lower()


def hive(folder: Path) -> Path:
    """A folder for each row, which names the values of all columns but one."""
    for number, row in enumerate(ROWS.to_pylist()):
        at = folder.joinpath(*(f"{name}={text(row[name])}" for name in ROWS.column_names[1:]))
        at.mkdir(parents=True)
        pq.write_table(pa.table({"x": [row["x"]]}), at / f"{number}.parquet")
    return folder


def read(spec: Spec, rows: Path | str, types: dict[str, str]) -> list[dict[str, Any]]:
    columns = [name for name in types if name in ROWS.column_names]
    tables, _ = checked_columns(spec, Where(), rows=str(rows), labelled=False, needed=columns, types=types)
    table = tables["labels"].rows(columns)
    assert {name: str(table.schema.field(name).type) for name in columns} == {name: types[name] for name in columns}
    return sorted(table.to_pylist(), key=lambda row: row["x"])


def test_partitions_have_the_types_of_the_model_and_not_those_that_their_names_look_like(tmp_path: Path) -> None:
    guessed = open_tables(spec_of(tmp_path), Where(), str(hive(tmp_path / "new")))["labels"].schema
    assert (guessed.field("m").type, guessed.field("flag").type) == (pa.int64(), pa.string())
    assert read(spec_of(tmp_path), tmp_path / "new", TYPES) == ROWS.select(list(TYPES)).to_pylist()


def test_a_name_that_is_no_value_of_the_type_of_the_model_is_read_as_it_looks(tmp_path: Path) -> None:
    tables = open_tables(spec_of(tmp_path), Where(), str(hive(tmp_path / "new")), {"m": "int64", "flag": "int64"})
    assert tables["labels"].schema.field("m").type == pa.int64()
    assert tables["labels"].schema.field("flag").type == pa.string()


@pytest.mark.parametrize("below", ["", "/flag=true", "/flag=true/*/*/*/*.parquet", "/**/*.parquet"])
def test_one_partition_has_the_values_that_its_path_names(tmp_path: Path, below: str) -> None:
    hive(tmp_path / "state=9" / "new")
    rows = f"{tmp_path}/state=9/new/m=10{below}"
    assert read(spec_of(tmp_path), rows, TYPES) == ROWS.select(list(TYPES)).slice(0, 1).to_pylist()
    plain = open_source(spec_of(tmp_path), Where(), "labels", rows).footers().schema.names
    assert "m" not in plain and "state" not in plain  # without a model, names above the path are those of any folders
    pq.write_table(pa.table({"x": [1.0], "m": ["A"]}), tmp_path / "state=9" / "new" / "m=10" / "own.parquet")
    own = read(spec_of(tmp_path), f"{tmp_path}/state=9/new/m=10/own.parquet", {"x": "double", "m": "string"})
    assert own == [{"x": 1.0, "m": "A"}]


def test_cells_of_csv_are_text_where_the_column_is_one_of_the_model_or_of_a_key(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.5, 2.5], "zip": ["02138", "10"], "id": ["10000000000000000007", None], "key": ["7", "08"]})
    pyarrow.csv.write_csv(rows, tmp_path / "new.csv", pyarrow.csv.WriteOptions(quoting_style="none"))
    pq.write_table(pa.table({"key": ["7"], "c": [1.0]}), tmp_path / "t.parquet")
    spec = spec_of(tmp_path, t={"path": "t.parquet", "on": ["key"]})
    types = {"x": "double", "zip": "string", "id": "string", "t.c": "double", "absent": "string"}
    table = open_tables(spec, Where(), str(tmp_path / "new.csv"), types)["labels"].rows(rows.column_names)
    assert table.to_pylist() == rows.to_pylist()
    said = spec_of(tmp_path, {"kind": "csv", "types": {"zip": "number"}})
    assert (
        open_tables(said, Where(), str(tmp_path / "new.csv"), types)["labels"].schema.field("zip").type == pa.float64()
    )


OWN = """
from typing import ClassVar
import pyarrow.feather
from ray_pipeline.components.sources._base import Footers, Source

class Feather(Source):
    endings: ClassVar[tuple[str, ...]] = (".feather",)
    def footers(self):
        table = pyarrow.feather.read_table(self.path)
        return Footers(path=self.path, files=(self.path,), schema=table.schema, num_rows=table.num_rows, num_bytes=1,
                       fingerprint="")
    def table(self, columns):
        return pyarrow.feather.read_table(self.path, columns=list(columns))
    def count(self, keep): ...
    def unreadable(self, columns): ...
    def pieces(self, footers, columns, rows, keep=None): ...
"""


def test_a_source_of_ones_own_reads_rows_with_its_endings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_feather.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(TRUST, "own_feather")
    pyarrow.feather.write_feather(ROWS, tmp_path / "new.Feather")
    pq.write_table(ROWS, tmp_path / "new.parquet")
    spec = spec_of(tmp_path, {"kind": "own_feather.Feather"})
    for name in ("new.Feather", "new.parquet"):
        assert read(spec, tmp_path / name, TYPES) == ROWS.select(list(TYPES)).to_pylist()
    with pytest.raises(DataError, match="not Parquet: an Arrow file"):
        open_source(spec_of(tmp_path), Where(), "labels", str(tmp_path / "new.Feather")).footers()
