"""One hash for one value, whatever type, block or file holds it; the xxhash library is the oracle."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh64_intdigest

from ray_pipeline.hashing import canonical, count_among, distinct, hash_code, hash_rows, hash_values, uniform

WHOLE = st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)), max_size=30)


@given(WHOLE, st.integers(0, 2**32 - 1))
def test_the_hash_of_an_integer_is_xxh64_of_its_decimal_text(values: list[int | None], seed: int) -> None:
    expected = [xxh64_intdigest(b"\xff" if value is None else str(value).encode(), seed) for value in values]
    for type_ in (pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.large_string(), pa.decimal128(19, 0)):
        held = (
            pa.array([None if value is None else str(value) for value in values])
            if "string" in str(type_)
            else pa.array(values, pa.int64())
        )
        assert hash_values(held.cast(type_), seed).tolist() == expected


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5)), st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5)))
def test_distinct_numbers_and_those_among_others_are_numpy_s(ours: list[int], theirs: list[int]) -> None:
    numbers, known = (np.array(one, np.uint64) for one in (ours, theirs))
    assert distinct(numbers).tolist() == np.unique(numbers).tolist()
    assert count_among(numbers, known) == int(np.isin(numbers, known).sum())


@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=30), st.integers(1, 10))
def test_chunks_and_dictionaries_hash_like_plain_strings(values: list[str | None], size: int) -> None:
    plain = pa.array(values, pa.string())
    chunked = pa.chunked_array([plain.slice(at, size) for at in range(0, len(values), size)], pa.string())
    assert (
        hash_values(chunked).tolist() == hash_values(plain).tolist() == hash_values(plain.dictionary_encode()).tolist()
    )


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), max_size=20))
def test_a_dictionary_of_numbers_hashes_like_the_numbers(values: list[float | None]) -> None:
    plain = pa.array(values, pa.float64())
    assert canonical(plain.dictionary_encode()) == canonical(plain)


def test_a_moment_has_one_hash_in_every_unit_and_zone() -> None:
    plain = pa.array([datetime(2024, 2, 29, 12), None, datetime(1969, 12, 31)], pa.timestamp("us"))
    expected = hash_values(plain).tolist()
    for type_ in (pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us", "Asia/Tokyo")):
        assert hash_values(plain.cast(type_)).tolist() == expected
        assert hash_values(plain.cast(type_).dictionary_encode()).tolist() == expected


def test_a_null_is_no_text_and_seeds_differ() -> None:
    assert hash_values(pa.array([None], pa.string())) != hash_values(pa.array([""]))
    assert hash_values(pa.array(["a"]), 1) != hash_values(pa.array(["a"]), 2)


@pytest.mark.parametrize("names", [["a", "b"], ["b", "a"]])
def test_a_row_s_hash_depends_on_its_content_and_not_on_the_order_of_columns(names: list[str]) -> None:
    table = pa.table({"a": [1, 2, 1], "b": ["x", "x", None]})
    hashes = hash_rows(table.select(names))
    assert hashes.tolist() == hash_rows(table).tolist() and len(set(hashes.tolist())) == 3
    assert hash_rows(table.slice(1)).tolist() == hashes.tolist()[1:]


@given(WHOLE)
def test_a_row_s_hash_is_the_same_in_every_type_that_holds_its_numbers(values: list[int | None]) -> None:
    plain = pa.chunked_array([pa.array(values, pa.int64())])
    expected = hash_rows(pa.table({"a": plain})).tolist()
    assert len(set(expected)) == len(set(values))
    for type_ in (pa.int32(), pa.float64(), pa.decimal128(19, 0), pa.dictionary(pa.int32(), pa.int64())):
        held = plain.dictionary_encode() if pa.types.is_dictionary(type_) else plain.cast(type_)
        assert hash_rows(pa.table({"a": held})).tolist() == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=20), st.integers(-(2**63), 2**63 - 20))
def test_whole_numbers_beyond_those_of_floats_have_hashes_of_their_own(some: list[int], first: int) -> None:
    for numbers in (some, list(range(first, first + 20))):
        assert len(set(hash_rows(pa.table({"a": pa.array(numbers, pa.int64())})).tolist())) == len(numbers)
    large = pa.array([2**63 + 1, 2**63 + 2, 2**64 - 1], pa.uint64())
    assert len(set(hash_rows(pa.table({"a": large})).tolist())) == 3


@given(st.lists(st.none() | st.integers(-(2**53), 2**53), unique=True, max_size=20))
def test_a_moment_has_one_hash_of_rows_in_every_unit(micros: list[int | None]) -> None:
    plain = pa.array(micros, pa.timestamp("us"))
    expected = hash_rows(pa.table({"a": plain})).tolist()
    assert len(set(expected)) == len(micros)
    for type_ in (pa.timestamp("us", "Asia/Tokyo"), pa.timestamp("ns")):
        assert hash_rows(pa.table({"a": plain.cast(type_)})).tolist() == expected
    later = pa.array([None if one is None else 1_000 * one + 1 for one in micros], pa.timestamp("ns"))
    assert not {*hash_rows(pa.table({"a": later.drop_null()})).tolist()} & {*expected}


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_uniform_numbers_keep_the_order_of_hashes_and_stay_below_1(hashes: list[int]) -> None:
    position = uniform(np.array(sorted(hashes), np.uint64))
    assert ((position >= 0) & (position < 1)).all() and (np.diff(position) >= 0).all()
    assert position.tolist() == [(value >> 11) / 2**53 for value in sorted(hashes)]


def test_the_hash_of_code_changes_with_any_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hashed_package").mkdir()
    for name in ("__init__", "one", "two"):
        (tmp_path / "hashed_package" / f"{name}.py").write_text(f"word = '{name}'")
    (tmp_path / "hashed_module.py").write_text("word = 1")
    before = [hash_code("hashed_package"), hash_code("hashed_module")]
    assert before == [hash_code("hashed_package"), hash_code("hashed_module")]
    (tmp_path / "hashed_package" / "two.py").write_text("word = 'three'")
    (tmp_path / "hashed_module.py").write_text("word = 2")
    assert not {*before} & {hash_code("hashed_package"), hash_code("hashed_module")}
