"""Tables in memory become Arrow without an import of their library; equal content has one SHA-256."""

import datetime as dt
import decimal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline.column_types import plain_table
from ray_pipeline.errors import DataError
from ray_pipeline.given_table import arrow_table, as_table, content_sha256, is_table, not_a_table
from ray_pipeline.runs.given_spec import store_table
from ray_pipeline.storage.blob_store import BlobStore

COLUMNS = {"id": [3, 1, 2], "amount": [1.5, None, 2.5], "text": ["a", None, "ü"], "yes": [True, False, None]}


def test_the_same_table_of_three_libraries_has_one_content() -> None:
    tables = [pa.table(COLUMNS), pl.DataFrame(COLUMNS), pd.DataFrame(COLUMNS).astype({"yes": "boolean"})]
    arrow = [arrow_table(table, "labels") for table in tables]
    assert all(is_table(table) for table in tables)
    assert [table.to_pydict() for table in arrow] == [COLUMNS] * 3
    assert {str(table.schema.field("text").type) for table in arrow} == {"string"}
    assert len({content_sha256(table) for table in arrow}) == 1


def test_paths_and_other_values_are_no_tables() -> None:
    assert not any(map(is_table, ("a.parquet", None, {"x": [1]}, [{"x": 1}], np.zeros((2, 2)))))


TEXTS = ["b", None, "a", "b"]
RUNS = pa.RunEndEncodedArray.from_arrays([1, 2, 3, 4], pa.array(TEXTS, pa.string_view()))
ENCODED = {
    "polars Categorical": pl.DataFrame({"x": pl.Series(TEXTS, dtype=pl.Categorical)}),
    "polars Enum": pl.DataFrame({"x": pl.Series(TEXTS, dtype=pl.Enum(["a", "b"]))}),
    "pandas category": pd.DataFrame({"x": pd.Categorical(TEXTS)}),
    "dictionary of views": pa.table(
        {"x": pa.DictionaryArray.from_arrays([1, None, 0, 1], pa.array(["a", "b"], pa.string_view()))}
    ),
    "dictionary of nulls": pa.table({"x": pa.DictionaryArray.from_arrays([2, 1, 0, 2], ["a", None, "b"])}),
    "dictionary of dictionaries": pa.table(
        {"x": pa.DictionaryArray.from_arrays([0, 1, 2, 3], pa.array(TEXTS).dictionary_encode())}
    ),
    "runs": pa.table({"x": RUNS}),
    "a part of runs": pa.table({"x": pa.chunked_array([RUNS.slice(0, 1), RUNS.slice(1)])}),
    "view": pa.table({"x": pa.array(TEXTS, pa.string_view())}),
}


@pytest.mark.parametrize("given", ENCODED.values(), ids=ENCODED)
def test_encoded_values_are_stored_as_what_they_stand_for(given: Any, tmp_path: Path) -> None:
    key = store_table(given, "labels", BlobStore(str(tmp_path)))
    assert plain_table(pq.read_table(tmp_path / key)).to_pydict() == {"x": TEXTS}


NESTED = pl.DataFrame({"x": [["a"], None, ["b", None]], "y": [{"z": "a"}, None, {"z": None}], "b": [b"a", None, b"b"]})


@pytest.mark.parametrize("given", [NESTED, NESTED.with_columns(pl.col("x").cast(pl.List(pl.Categorical)))])
def test_nested_texts_and_bytes_of_polars_are_stored_too(given: pl.DataFrame, tmp_path: Path) -> None:
    key = store_table(given, "labels", BlobStore(str(tmp_path)))
    assert pq.read_table(tmp_path / key).to_pydict() == NESTED.to_dict(as_series=False)


def test_a_sparse_column_of_pandas_is_its_values() -> None:
    sparse = pd.DataFrame({"x": pd.arrays.SparseArray([0, 0, 1]), "y": ["a", "b", "c"]})
    assert arrow_table(sparse, "labels").to_pydict() == {"x": [0, 0, 1], "y": ["a", "b", "c"]}


CUT = pd.DataFrame({"y": [1, 2, 3], "age": pd.cut([1.0, 20.0, 30.0], 2)})


@pytest.mark.parametrize("given", [CUT, CUT.astype({"age": CUT.age.cat.categories.dtype}), pa.Table.from_pandas(CUT)])
def test_intervals_are_refused_with_their_column_and_what_to_do(given: Any) -> None:
    with pytest.raises(
        DataError, match="labels: intervals in 1 column: 'age' · Fix: make them text, as in frame"
    ) as told:
        arrow_table(given, "labels")
    assert told.value.problems[0].column == "age"
    assert arrow_table(CUT.assign(age=CUT.age.astype(str)), "labels").num_rows == 3


def test_python_objects_of_polars_are_refused_by_name() -> None:
    given = pl.DataFrame({"y": [1, 2], "thing": pl.Series([object(), object()], dtype=pl.Object)})
    with pytest.raises(DataError, match="labels: Python objects in 1 column: 'thing'"):
        arrow_table(given, "labels")


def test_what_parquet_lacks_is_refused_by_name(tmp_path: Path) -> None:
    given = pa.table({"y": [1], "span": pa.array([pa.MonthDayNano([1, 2, 3])])})
    with pytest.raises(DataError, match="cannot be written as Parquet: 'span' is month_day_nano_interval · Fix: leave"):
        store_table(given, "labels", BlobStore(str(tmp_path)))


def test_the_index_of_a_frame_is_no_column() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=["a", "b", "c"])[lambda rows: rows.x > 1]
    assert arrow_table(frame, "labels").to_pydict() == {"x": [2, 3]}


def test_times_with_a_zone_keep_it_and_nobody_is_warned() -> None:
    times = pd.to_datetime(["2024-01-01", None]).tz_localize("UTC")
    assert str(arrow_table(pd.DataFrame({"x": times}), "labels").schema.field("x").type).endswith("tz=UTC]")


def test_a_record_batch_is_a_table() -> None:
    batch = pa.RecordBatch.from_pydict({"x": [1, 2]})
    assert is_table(batch) and arrow_table(batch, "labels").to_pydict() == {"x": [1, 2]}


OTHERS = {
    "value": pa.table({"x": [1, 2, 4]}),
    "null": pa.table({"x": [1, 2, None]}),
    "order": pa.table({"x": [2, 1, 3]}),
    "name": pa.table({"y": [1, 2, 3]}),
    "type": pa.table({"x": pa.array([1, 2, 3], pa.int32())}),
    "text": pa.table({"x": ["1", "2", "3"]}),
    "row": pa.table({"x": [1, 2, 3, None]}),
    "column": pa.table({"x": [1, 2, 3], "y": [1, 2, 3]}),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_content_has_another_sha256(other: pa.Table) -> None:
    assert content_sha256(pa.table({"x": [1, 2, 3]})) != content_sha256(other)


def test_texts_are_told_apart_by_where_they_end() -> None:
    assert content_sha256(pa.table({"x": ["ab", "c"]})) != content_sha256(pa.table({"x": ["a", "bc"]}))


@pytest.mark.parametrize(
    "values",
    [
        [decimal.Decimal("1.10"), None, decimal.Decimal("2.20")],
        [dt.datetime(2024, 1, 1), None, dt.datetime(2024, 1, 2)],
        [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)],
        [dt.time(1, 2, 3), None, dt.time(4)],
        [b"a", None, b"\x00"],
        [[1, 2], None, list(range(2000))],
        [{"a": 1}, None, {"a": 2}],
        [None, None, None],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_every_type_is_hashed_by_value_and_not_by_chunk(values: list[object]) -> None:
    whole = pa.table({"x": pa.chunked_array([values], pa.array(values).type)})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert content_sha256(whole) == content_sha256(parts)
    if values[2] is not None:
        assert content_sha256(whole) != content_sha256(whole.take(pa.array([0, 1, 0])))


def test_a_categorical_is_hashed_by_its_values() -> None:
    one, two = (pa.table({"x": pa.array(["b", "a", "b"]).dictionary_encode()}) for _ in range(2))
    shuffled = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1], pa.int32()), pa.array(["a", "b"]))
    assert content_sha256(one) == content_sha256(two) == content_sha256(pa.table({"x": shuffled}))


def test_a_table_that_is_none_is_refused_with_its_name() -> None:
    mixed = pd.DataFrame({"x": [1, "a"]}, dtype=object)
    with pytest.raises(DataError, match="weather: the DataFrame cannot be read as an Arrow table") as told:
        arrow_table(mixed, "weather")
    assert told.value.exit_code == 3
    twice = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with pytest.raises(DataError, match="labels: the DataFrame cannot be read"):
        arrow_table(twice, "labels")
    arrow = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(DataError, match="1 column names occur more than once: 'x'"):
        arrow_table(arrow, "labels")


def test_neither_pandas_nor_polars_is_imported_for_it() -> None:
    code = "import sys, ray_pipeline.given_table; print({'pandas', 'polars'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_what_is_no_table_is_told_what_makes_it_one() -> None:
    assert not_a_table("rows.parquet") == ("a path", "read the file first, as in pandas.read_parquet(PATH)")
    assert not_a_table(pl.LazyFrame({"x": [1]})) == ("a LazyFrame", "call its `collect()` first")
    assert not_a_table([{"x": 1}]) == ("a list", "make it a table, as in pandas.DataFrame(...)")


def test_one_row_is_a_table_as_a_dict_or_as_a_row_of_a_frame() -> None:
    frame = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    expected = [{"x": 2, "y": "b"}]
    assert as_table({"x": 2, "y": "b"}).to_pylist() == as_table(frame.iloc[1]).to_pylist() == expected
    assert as_table({"x": [2], "y": ["b"]}).to_pylist() == expected
