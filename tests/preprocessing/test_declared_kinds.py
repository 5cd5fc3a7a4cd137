"""`encode: {COLUMN: {type: …}}`: numbers that are categories, and texts that hold numbers."""

import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from profile_fixture import profile_of

from ray_pipeline.components.column_encodings._columns import as_declared
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.data.labels import class_names
from ray_pipeline.data.rows import LABEL as LABEL_ROLE
from ray_pipeline.errors import DataError
from ray_pipeline.preprocessing.fit_encoders import fit_encoders
from ray_pipeline.profiling.drift import from_json, histograms, to_json
from ray_pipeline.profiling.known_rows import KnownRows
from ray_pipeline.profiling.profile import KINDS, as_kinds
from ray_pipeline.registered_model import _require_known_classes
from ray_pipeline.row_reader import RowReader
from ray_pipeline.rows_to_score import SentRows

CODES = pa.array([7, 12, 7, None, 300, 7] * 50)
SIZES = pa.array(["1", "2.5", None, " 4 ", "1e3", "-1"] * 50)
ROWS = pa.table({"code": CODES, "size": SIZES, "other": np.arange(300.0)})
DECLARED = {"code": "category", "size": "number"}
LABEL = np.arange(300) % 3 == 0


def declared_encoder(name: str, **options: object) -> Encoder:
    rows = as_kinds(ROWS, DECLARED)  # type: ignore[arg-type]
    profile = profile_of({column: rows[column].combine_chunks() for column in rows.column_names}, LABEL)
    profile = replace(profile, declared={column: ROWS.schema.field(column).type for column in DECLARED})
    assert {column: profile.types[column] for column in DECLARED} == {c: KINDS[k] for c, k in DECLARED.items()}
    assert profile.columns["code"].values == {"7": 150, "12": 50, "300": 50}
    encoder = fit_encoders(profile, [name], {"code": options} if options else None)[name]
    return type(encoder).from_json(json.loads(json.dumps(encoder.to_json())))


@pytest.mark.parametrize("name", ["trees", "nets"])
@pytest.mark.parametrize(
    "type_", [pa.int8(), pa.int64(), pa.uint16(), pa.float32(), pa.float64(), pa.string(), pa.decimal128(30, 2)]
)
def test_a_number_is_the_same_category_in_every_type(name: str, type_: pa.DataType) -> None:
    encoder = declared_encoder(name)
    rows = ROWS.filter(pa.compute.fill_null(pa.compute.less(ROWS["code"], 100), True))
    sent = rows.set_column(0, "code", rows["code"].cast(type_))
    assert np.array_equal(encoder.apply(sent), encoder.apply(rows), equal_nan=True)


@pytest.mark.parametrize("type_", [pa.int16(), pa.int64(), pa.float64(), pa.decimal128(30, 2)])
def test_rows_of_the_training_are_known_again_as_they_are_read_for_the_model(type_: pa.DataType) -> None:
    rows = as_kinds(ROWS, DECLARED)  # type: ignore[arg-type]
    columns = {column: rows[column].combine_chunks() for column in rows.column_names}
    known = KnownRows.of(profile_of(columns, LABEL.astype(float), np.zeros(300, int)).row_hashes)
    reader = RowReader({field.name: str(field.type) for field in ROWS.schema}, declared_encoder("trees"))
    sent = reader.table(SentRows(ROWS.set_column(0, "code", CODES.cast(type_))))
    labelled = sent.append_column(LABEL_ROLE, pa.array(LABEL.astype(float)))
    assert known.count(labelled, ROWS.column_names, DECLARED) == (300, 300)  # type: ignore[arg-type]


def test_the_codes_are_those_of_a_category() -> None:
    encoder = declared_encoder("trees")
    assert encoder.cardinalities[0] == 4
    assert encoder.apply(ROWS.slice(0, 6))[:, 0] == pytest.approx([1, 2, 1, np.nan, 3, 1], nan_ok=True)
    unseen = ROWS.slice(0, 1).set_column(0, "code", pa.array([8]))
    assert encoder.apply(unseen)[0, 0] == 0
    assert declared_encoder("trees", encode="one_hot").apply(ROWS.slice(0, 1)).shape[1] > 3


def test_a_text_is_the_number_that_it_holds() -> None:
    encoder = declared_encoder("trees")
    column = encoder.columns.index("size")
    assert encoder.apply(ROWS.slice(0, 6))[:, column] == pytest.approx([1, 2.5, np.nan, 4, 1000, -1], nan_ok=True)
    numbers = ROWS.set_column(1, "size", pa.array(np.arange(300.0)))
    assert encoder.apply(numbers)[:, column].tolist() == list(range(300))


def test_texts_that_hold_no_number_are_refused_with_their_count() -> None:
    with pytest.raises(DataError, match=r"3 of 5 texts hold no number: 'x', 'n/a'") as refused:
        as_declared("size", pa.chunked_array([["1", "x", "x", "n/a", None]]), "number")
    assert refused.value.problems[0].column == "size" and refused.value.problems[0].rows == 3


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([7.0, -0.0, 0.1, 1e15, float(2**53)]), ["7", "0", "0.1", "1000000000000000", "9007199254740992"]),
        (pa.array([0.1, 16777216.0], pa.float32()), ["0.1", "16777216"]),
        (pa.array([2**63 + 1, 2**64 - 1], pa.uint64()), ["9223372036854775809", "18446744073709551615"]),
        (pa.array([Decimal("7.00"), Decimal("70.50"), Decimal("100")], pa.decimal128(9, 2)), ["7", "70.5", "100"]),
        (pa.array([Decimal("700")], pa.decimal128(9, 0)), ["700"]),
        (pa.array([True, None]), ["true", None]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_the_text_of_a_number_is_short_and_exact(values: pa.Array, texts: list[str | None]) -> None:
    assert as_declared("code", pa.chunked_array([values]), "category").to_pylist() == texts


def test_drift_counts_new_rows_as_they_were_read() -> None:
    rows = as_kinds(ROWS, DECLARED)  # type: ignore[arg-type]
    known = from_json(json.loads(json.dumps(to_json(histograms(rows, DECLARED)))))
    for name in DECLARED:
        assert known[name].count(ROWS[name]).tolist() == list(known[name].counts)
    floats = ROWS["code"].cast(pa.float64())
    assert known["code"].count(floats).tolist() == list(known["code"].counts)


def test_a_text_column_of_training_still_refuses_numbers() -> None:
    profile = profile_of({"word": pa.array(["a", "b"] * 150), "other": np.arange(300.0)}, LABEL)
    encoder = fit_encoders(profile, ["trees"])["trees"]
    with pytest.raises(DataError, match="trained on a category"):
        encoder.apply(pa.table({"word": [1, 2], "other": [1.0, 2.0]}))


NUMBERS = [pa.int8(), pa.int64(), pa.uint16(), pa.float32(), pa.float64(), pa.decimal128(9, 2), pa.decimal128(9, 0)]


@pytest.mark.parametrize("type_", NUMBERS, ids=str)
@pytest.mark.parametrize("trained", [None, *NUMBERS], ids=str)
def test_a_label_is_the_same_class_in_every_type(type_: pa.DataType, trained: pa.DataType | None) -> None:
    labels = pa.chunked_array([pa.array([1, 0, 30, None], pa.int8()).cast(type_)])
    assert class_names(labels, trained and str(trained)).to_pylist() == ["1", "0", "30", None]


@pytest.mark.parametrize(
    ("values", "trained", "classes"),
    [
        (pa.array([Decimal("2.50"), Decimal("3.00")], pa.decimal128(9, 2)), "double", ["2.5", "3"]),
        (pa.array([float(np.float32(0.1)), 0.1, None]), "float", ["0.1", "0.1", None]),
        (pa.array([1, 0, 7, None], pa.int8()), "bool", ["true", "false", "7", None]),
        (pa.array([1.0, 0.5]), "bool", ["true", "0.5"]),
        (pa.array([True, False, None]), "int64", ["1", "0", None]),
        (pa.array([True, False]), None, ["true", "false"]),
        (pa.array(["1.0", "true"]), "string", ["1.0", "true"]),
        (pa.array([0], pa.date32()), "date32[day]", ["1970-01-01"]),
    ],
)
def test_a_label_of_another_type_is_the_class_of_training(
    values: pa.Array, trained: str | None, classes: list[str | None]
) -> None:
    assert class_names(pa.chunked_array([values]), trained).to_pylist() == classes


def test_rows_of_unknown_classes_are_refused_with_these_classes() -> None:
    facts = [{"unknown": {"9": 2, "8": 1}}, {"unknown": {}}, {"unknown": {"8": 1_500}}]
    bundle = SimpleNamespace(schema={"classes": ["0", "1"]})
    with pytest.raises(DataError, match=r"1,503 rows .* does not know: '8' \(1,501 rows\), '9' \(2 rows\)"):
        _require_known_classes(facts, bundle, "rows.csv")  # type: ignore[arg-type]
    _require_known_classes(facts[1:2], bundle, "rows.csv")  # type: ignore[arg-type]
