"""Columns as people send them, brought to the kind that they had in training."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ray_pipeline.components.column_encodings._columns import as_declared
from ray_pipeline.components.column_encodings.ordinal import Ordinal
from ray_pipeline.components.encoders.trees import Trees
from ray_pipeline.errors import DataError
from ray_pipeline.row_reader import RowReader
from ray_pipeline.rows_to_score import SentRows, as_trained


def sent(values: Any, kind: str, trained: str) -> pa.ChunkedArray:
    """The column `x` of a dict, as a bundle reads it."""
    return as_trained("x", kind, trained, SentRows({"x": values}).column(0))


@pytest.mark.parametrize(
    "values",
    [[1, 20, None], [1.0, 20.0, None], [Decimal(1), 20.0, None], pa.array([1, 20, None], pa.decimal128(9, 4))],
)
def test_a_category_of_whole_numbers_may_come_as_floats(values: Any) -> None:
    assert sent(values, "category", "int32").cast(pa.string()).to_pylist() == ["1", "20", None]


@pytest.mark.parametrize("values", [[1.5, 2], ["1", "2"], [True, False]])
def test_a_category_of_whole_numbers_takes_no_fractions_texts_or_booleans(values: list) -> None:
    with pytest.raises(DataError) as caught:
        sent(values, "category", "int64")
    assert caught.value.problems[0].column == "x"


@pytest.mark.parametrize(
    "values", [[0.1, 3.0], [np.float32(0.1), 3], pa.array([0.1, 3], pa.float32()), [Decimal("0.1"), 3]]
)
@pytest.mark.parametrize("trained", ["float", "double", "decimal128(9, 2)"])
def test_a_number_is_rounded_as_in_training_and_has_one_text_in_every_form(values: Any, trained: str) -> None:
    table = pa.table({"x": SentRows({"x": values}).column(0)})
    texts = [
        as_declared("x", as_trained("x", "category", trained, SentRows(form).column(0)), "category").to_pylist()
        for form in (table, table.to_pylist(), table.to_pandas(), table.to_pydict())
    ]
    assert texts == texts[:1] * 4
    assert trained != "float" or texts[0] == ["0.1", "3"]


@pytest.mark.parametrize("trained", ["float", "double", "decimal128(9, 2)"])
@pytest.mark.parametrize("values", [[True, False], ["0.1", "3"]])
def test_a_category_of_fractions_takes_no_booleans_or_texts(values: list, trained: str) -> None:
    reader = RowReader({"x": trained}, Trees(encoded=(Ordinal(name="x", kind="category", declared=True),)))
    assert len(reader.matrix(SentRows({"x": [0.1, 3]}))) == 2
    with pytest.raises(DataError, match="trained on a category"):
        reader.matrix(SentRows({"x": values}))
    with pytest.raises(DataError, match="trained on a category"):
        reader.matrix(SentRows({"x": values[0]}))


def test_a_category_of_booleans_takes_booleans_alone() -> None:
    assert sent([True, None], "category", "bool").to_pylist() == [True, None]
    with pytest.raises(DataError):
        sent([1, 0], "category", "bool")


@pytest.mark.parametrize(
    ("kind", "trained"),
    [("number", "double"), ("category", "string"), ("time", "date32[day]"), ("time", "timestamp[us, tz=UTC]")],
)
@pytest.mark.parametrize(
    "values", [[b"a"], [[1]], [{"a": 1}], pa.array([1], pa.duration("s")), pa.array([1], "time32[s]")]
)
def test_other_types_are_refused_by_name(kind: str, trained: str, values: Any) -> None:
    with pytest.raises(DataError, match="was trained on") as caught:
        sent(values, kind, trained)
    assert caught.value.problems[0].column == "x"


def test_a_date_may_come_as_midnight_and_a_time_as_a_date() -> None:
    midnight = pa.array([86_400_000], pa.timestamp("ms"))
    assert sent(midnight, "time", "date32[day]").cast(pa.int64()).to_pylist() == [86_400_000]
    assert sent(["1970-01-02"], "time", "date32[day]").cast(pa.int64()).to_pylist() == [86_400_000_000]
    assert sent(pa.array([1], pa.date32()), "time", "timestamp[us]").type == pa.date32()


def test_a_row_of_a_frame_is_one_row() -> None:
    sent = SentRows(pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}).iloc[1])
    assert sent.names == ["x", "y"] and sent.row([0, 1]) == [2, "b"]


@pytest.mark.parametrize(("rows", "what"), [("rows.parquet", "a path"), (pl.LazyFrame({"x": [1]}), "a LazyFrame")])
def test_what_is_no_table_is_named(rows: object, what: str) -> None:
    with pytest.raises(DataError, match=f"the rows are no table with names of columns, but {what}"):
        SentRows(rows)
