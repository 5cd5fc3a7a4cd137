"""One row is encoded without a table, with the bits and the refusals of the path that many rows take."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bundle_fixture import rows, train
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_pipeline.bundle import Bundle
from ray_pipeline.components.column_encodings.frequency import Frequency
from ray_pipeline.components.column_encodings.moment import Moment
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.components.column_encodings.one_hot import OneHot
from ray_pipeline.components.column_encodings.ordinal import Ordinal
from ray_pipeline.components.column_encodings.target import Target
from ray_pipeline.components.encoders.trees import Trees
from ray_pipeline.errors import DataError
from ray_pipeline.row_reader import MAX_FORMS

COLUMNS = {
    "plain": (Number(name="plain", kind="number"), "double"),
    "far": (Number(name="far", kind="number", offset=1e9 + 0.5), "double"),
    "far_whole": (Number(name="far_whole", kind="number", offset=1e9 + 1), "int64"),
    "standard": (Number(name="standard", kind="number", centre=0.3, width=0.7, missing=0.1, flagged=True), "double"),
    "ranked": (Number(name="ranked", kind="number", knots=(-1.0, 0.5, 3.0), quantiles=(-1.5, 0.1, 2.0)), "int16"),
    "bound": (Number(name="bound", kind="number", most=0.5), "double"),
    "log": (Number(name="log", kind="number", log=True, missing=-1.0), "double"),
    "texts": (Number(name="texts", kind="number", declared=True), "string"),
    "day": (Number(name="day", kind="time", flagged=True), "date32[day]"),
    "parts": (Moment(name="parts", kind="time", parts=("year", "hour"), cycles=True), "timestamp[us, tz=UTC]"),
    "parcel": (Ordinal(name="parcel", kind="category", categories=("1", "0.5"), declared=True), "double"),
    "single": (Number(name="single", kind="number", offset=0.7, centre=0.3, width=0.7), "float"),
    "lot": (Ordinal(name="lot", kind="category", categories=("1", "0.1"), declared=True), "float"),
    "code": (Ordinal(name="code", kind="category", categories=("1", "20"), declared=True), "int32"),
    "ordinal": (Ordinal(name="ordinal", kind="category", categories=("a", "é"), finite=True), "string"),
    "hot": (OneHot(name="hot", kind="category", categories=("a", "b"), other=True), "string"),
    "share": (Frequency(name="share", kind="category", categories=("a",), shares=(0.3,), absent=0.2), "string"),
    "mean": (
        Target(name="mean", kind="category", categories=("a",), means=((0.5,) * 6,), overall=(0.2,) * 6),
        "string",
    ),
}
ODD = [
    *(None, float("nan"), float("inf"), -0.0, 0.1, 1.0, 1e39, -1e308, 1e9 + 1.5),
    *(True, False, 0, 1, 20, 10**9 + 3, 2**53, 2**53 + 1, -(2**62) - 1, 2**64, 10**400),
    *("a", "b", "é", "", "1", "1.0", " 7 ", "None", "2013-05-01", "2013-05-01T12:00:00+02:00", "\ud800"),
    *(np.float64(0.1), np.float64("nan"), np.float32(0.1), np.int8(1), np.uint64(2**63), np.bool_(True), np.str_("a")),
    *(Decimal("0.1"), Decimal("NaN"), Decimal(20), b"a", [1.0], {"a": 1}, 1j, np.array(0.5), np.array([1.0])),
    *(date(2013, 5, 1), datetime(2013, 5, 1, 7, 30), datetime(2013, 5, 1, 7, 30, tzinfo=UTC)),
    *(pd.NA, pd.NaT, pd.Timestamp("2013-05-01T07:30:00.123456789"), pd.Timestamp("2013-05-01", tz="Europe/Berlin")),
]
FITTING = {
    "day": date(2013, 5, 1),
    "parts": datetime(2013, 5, 1, 7, 30, tzinfo=UTC),
    "texts": "1.5",
    **dict.fromkeys(("ordinal", "hot", "share", "mean"), "a"),
}


@pytest.fixture(scope="module")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose scores are the encoded row itself."""
    made = train(tmp_path_factory.mktemp("trained"), task="multiclass").bundle
    columns = [{"name": name, "type": trained} for name, (_, trained) in COLUMNS.items()]
    return replace(
        made,
        schema={**made.schema, "columns": columns},
        encoder=Trees(encoded=tuple(one for one, _ in COLUMNS.values())),
        scorer=lambda matrix: matrix,
    )


def outcome(call: Callable[[], np.ndarray]) -> tuple[Any, ...]:
    """The bits that come back, or the refusal."""
    try:
        return call().tobytes(), None
    except DataError as error:
        return None, str(error.problems[0].found)


def whole(bundle: Bundle, sent: Any) -> np.ndarray:
    """The path of many rows."""
    return bundle.score_matrix(bundle.encoder.apply(bundle.select(sent)))


@settings(deadline=None)  # other programs may use both cores
@given(
    st.lists(st.tuples(st.sampled_from([*COLUMNS]), st.sampled_from(ODD)), max_size=3),
    st.sampled_from(["dict", "list", "columns", "pandas"]),
)
def test_any_values_of_python_are_encoded_or_refused_as_in_a_table(
    encoding: Bundle, odd: list[tuple[str, Any]], form: str
) -> None:
    row = {name: FITTING.get(name, 1) for name in COLUMNS} | dict(odd)
    columns = {name: [value] for name, value in row.items()}
    sent = {"dict": row, "list": [row], "columns": columns, "pandas": pd.DataFrame(columns, dtype=object)}[form]
    expected = outcome(lambda: whole(encoding, sent))
    for _ in range(2):  # the second time, codes are remembered
        actual = outcome(lambda: encoding.predict(sent))
        # Of two columns that are refused, either may be named.
        assert actual == expected if len(odd) < 2 else (actual[0], bool(actual[1])) == (expected[0], bool(expected[1]))


TYPES = [
    *(pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.int64(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.decimal128(20, 3), pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.date32()),
    *(pa.timestamp("ns"), pa.timestamp("us", "Europe/Berlin"), pa.time64("us"), pa.duration("s")),
    *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int8(), pa.int64()), pa.list_(pa.float64())),
]
VALUES = {
    pa.bool_(): [True],
    pa.int8(): [1],
    pa.uint64(): [20, 2**64 - 1],
    pa.int64(): [1, 2**60 + 1, None],
    pa.float32(): [0.1],
    pa.float64(): [float("nan"), 1.0, 1e300, None],
    pa.decimal128(20, 3): [Decimal("0.5")],
    **{text: ["a", "1", None] for text in (pa.string(), pa.large_string(), pa.string_view())},
    pa.binary(): [b"a"],
    pa.date32(): [date(2013, 5, 1)],
    pa.timestamp("ns"): [1_367_393_400_123_456_789],
    pa.timestamp("us", "Europe/Berlin"): [1_367_393_400_123_456],
    pa.duration("s"): [1],
    pa.dictionary(pa.int8(), pa.string()): ["a", "z"],
    pa.dictionary(pa.int8(), pa.int64()): [20],
    pa.list_(pa.float64()): [[1.0]],
}


@pytest.mark.parametrize("type_", TYPES, ids=str)
@pytest.mark.parametrize("place", range(len(COLUMNS)), ids=list(COLUMNS))
def test_a_column_of_any_arrow_type_is_encoded_or_refused_as_in_a_table(
    encoding: Bundle, place: int, type_: pa.DataType
) -> None:
    row = pa.table({name: [FITTING.get(name, 1)] for name in COLUMNS})
    for value in VALUES.get(type_, [None]):
        sent = row.set_column(place, [*COLUMNS][place], pa.array([value], type_))
        expected = outcome(lambda sent=sent: whole(encoding, sent))
        for rows_ in (sent, sent.to_batches()[0]):
            assert outcome(lambda rows_=rows_: encoding.predict(rows_)) == expected


@pytest.mark.parametrize("as_form", [pa.Table.to_pandas, pl.from_arrow, pa.Table.to_pylist, lambda table: table])
def test_rows_one_by_one_have_the_bits_of_the_batch_in_each_form(as_form: Callable, tmp_path: Path) -> None:
    table = rows(60)
    bundle = train(tmp_path).bundle
    single = [bundle.predict(as_form(table.slice(row, 1))) for row in range(60)]
    assert np.concatenate(single).tobytes() == bundle.predict(table).tobytes()


def test_a_whole_number_for_a_column_of_fractions_keeps_the_fraction_of_the_offset() -> None:
    number = Number(name="x", kind="number", offset=1e9 + 0.5)
    assert number.apply(pa.chunked_array([[10**9 + 2, None]])).tolist()[0] == [1.5]


def test_a_text_that_is_no_unicode_is_refused_after_known_ones(encoding: Bundle) -> None:
    row = {name: FITTING.get(name, 1) for name in COLUMNS}
    encoding.predict(row)
    with pytest.raises(DataError, match="hot"):
        encoding.predict(row | {"hot": "\ud800"})


def test_forms_that_rows_are_sent_in_are_remembered_up_to_a_bound(encoding: Bundle) -> None:
    row = {name: FITTING.get(name, 1) for name in COLUMNS}
    expected = encoding.predict(row).tobytes()
    for extra in range(2 * MAX_FORMS):
        assert encoding.predict(row | {f"extra {extra}": 1}).tobytes() == expected
    assert len(encoding._reader.forms) <= MAX_FORMS


def test_a_number_of_single_precision_has_its_bits_and_its_category_in_every_form(encoding: Bundle) -> None:
    row = {name: FITTING.get(name, 1) for name in COLUMNS}
    place = [encoding.encoder.columns.index(name) for name in ("single", "lot")]
    single = pa.array([0.1], pa.float32())
    table = pa.table({name: single if name in ("single", "lot") else [value] for name, value in row.items()})
    expected = encoding.encoder.apply(encoding.select(table))[:, place]  # the bits of training
    assert expected[0, 1] == 2
    for value in (0.1, float(np.float32(0.1)), np.float32(0.1), Decimal("0.1")):
        sent = row | {"single": value, "lot": value}
        for rows_ in (sent, [sent, sent], pd.DataFrame([sent])):
            assert encoding.predict(rows_)[:1, place].astype(np.float32).tobytes() == expected.tobytes()


def test_a_column_of_a_declared_kind_comes_as_it_was_in_training(encoding: Bundle) -> None:
    row = {name: FITTING.get(name, 1) for name in COLUMNS}
    place = {name: at for at, name in enumerate(encoding.encoder.columns)}
    scored = encoding.predict([row | {"texts": " 7 ", "parcel": 0.5}, row | {"texts": None, "parcel": 3.0}])
    np.testing.assert_array_equal(scored[:, [place["texts"], place["parcel"]]], [[7.0, 2.0], [np.nan, 0.0]])
