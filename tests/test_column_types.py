"""Every column becomes one of a few plain types, without loss."""

import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ray_pipeline.column_types import plain_column, plain_table, plain_type

NAN = float("nan")
UUID = uuid.UUID(int=5)


def extension(type_: pa.DataType, values: list[Any]) -> pa.Array:
    return pa.ExtensionArray.from_storage(type_, pa.array(values, type_.storage_type))


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        (pa.array(["a", None], pa.string_view()), pa.string(), ["a", None]),
        (
            pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["x", None, "x"], pa.string_view())),
            pa.string(),
            ["x", None, "x", None],
        ),
        (
            pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.uint8()), pa.array([1.5, NAN], pa.float16())),
            pa.float32(),
            [None, 1.5],
        ),
        (pc.run_end_encode(pa.array(["a", "a", None])), pa.string(), ["a", "a", None]),
        (pc.run_end_encode(pa.array([NAN, 1.0])), pa.float64(), [None, 1.0]),
        (extension(pa.uuid(), [UUID.bytes, None]), pa.string(), [str(UUID), None]),
        (extension(pa.json_(), ["{}", None]), pa.string(), ["{}", None]),
        (extension(pa.bool8(), [1, 0, None]), pa.bool_(), [True, False, None]),
        (pa.array([b"ab", None], pa.binary(2)), pa.binary(), [b"ab", None]),
        (pa.array([b"ab", None], pa.binary_view()), pa.binary(), [b"ab", None]),
        (pa.array([Decimal("1.50"), None], pa.decimal256(60, 2)), pa.decimal256(60, 2), [Decimal("1.50"), None]),
        (pa.array([0.5, NAN, None]), pa.float64(), [0.5, None, None]),
        (pa.array([[1], None]), pa.list_(pa.int64()), [[1], None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_column_becomes_its_plain_type(values: pa.Array, type_: pa.DataType, expected: list[Any]) -> None:
    column = plain_column(pa.chunked_array([values, values.slice(0, 1)]))
    assert (column.type, column.to_pylist()) == (type_, [*expected, expected[0]])
    assert plain_type(values.type) == type_ == plain_type(type_)
    assert plain_column(pa.chunked_array([], values.type)).type == type_


def test_several_dictionaries_in_one_column_are_one_column_of_values() -> None:
    first, second = (pa.array(values).dictionary_encode() for values in (["b", "a"], ["c", "b"]))
    assert plain_column(pa.chunked_array([first, second])).to_pylist() == ["b", "a", "c", "b"]


def test_a_zone_that_nobody_knows_is_the_same_moment_in_utc() -> None:
    odd = pa.array([0, None], pa.int64()).cast(pa.timestamp("ms", "Mars/Olympus"))
    column = plain_column(pa.chunked_array([odd]))
    assert column.type == pa.timestamp("ms", "UTC") and column.cast(pa.int64()).to_pylist() == [0, None]


def test_a_plain_table_is_not_copied() -> None:
    table = pa.table({"a": [1.0, None], "b": ["x", "y"], "c": [1, 2]})
    assert plain_table(table) is table
