"""What every encoder must do: be plain JSON, be pure, and give each kind of value the number that is written down for
it."""

import json
import math
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.components.column_encodings.number import MAX_KNOTS, Number, normal_quantiles
from ray_pipeline.components.column_encodings.ordinal import Ordinal
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.encoders.nets import RARE, Nets
from ray_pipeline.components.encoders.trees import MAX_NATIVE, Trees
from ray_pipeline.data.rows import RowCounts
from ray_pipeline.errors import DataError
from ray_pipeline.preprocessing.encode import fit_encoders
from ray_pipeline.profiling.column_statistics import describe_column
from ray_pipeline.profiling.profile import Profile

NUMBERS = st.one_of(st.none(), st.floats(width=32), st.just(math.inf), st.just(-math.inf))
WORDS = st.one_of(st.none(), st.sampled_from(["red", "green", "blue", "", "ünseen", "other"]))
ROWS = st.lists(
    st.tuples(NUMBERS, WORDS, st.one_of(st.none(), st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))),
    max_size=40,
)
ENCODERS: dict[str, Encoder] = {
    "trees": Trees(
        encoded=(
            Number(name="size", kind="number"),
            Ordinal(name="colour", kind="category", categories=("red", "green", "")),
            Number(name="seen", kind="time"),
        )
    ),
    "nets": Nets(
        encoded=(
            Number(
                name="size",
                kind="number",
                knots=(-1.0, 0.0, 3.0),
                quantiles=(-1.5, 0.0, 1.5),
                flagged=True,
                missing=0.0,
            ),
            Ordinal(name="colour", kind="category", categories=("red", "green", ""), finite=True),
            Number(name="seen", kind="time", knots=(0.0, 20_000.0), quantiles=(-1.0, 1.0), missing=0.0),
        )
    ),
}


def table_of(rows: list[tuple[Any, Any, Any]]) -> pa.Table:
    size, colour, seen = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "size": pa.array(size, pa.float64()),
            "colour": pa.array(colour, pa.string()),
            "seen": pa.array(seen, pa.timestamp("us")),
        }
    )


def one(kind: str, values: Any, categories: tuple[str, ...] = ()) -> list[float]:
    encoding = (
        Ordinal(name="a", kind="category", categories=categories) if kind == "category" else Number(name="a", kind=kind)
    )  # type: ignore[arg-type]
    return Trees(encoded=(encoding,)).apply(pa.table({"a": values}))[:, 0].tolist()


def test_every_encoder_of_the_folder_is_tried_here() -> None:
    assert set(menu("encoders")) == set(ENCODERS)
    assert all(isinstance(encoder, find("encoders", word)) for word, encoder in ENCODERS.items())


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=list(ENCODERS))
def test_an_encoder_is_equal_to_what_its_json_reads_back(encoder: Encoder) -> None:
    text = json.dumps(encoder.to_json())
    back = Encoder.from_json(json.loads(text))
    assert back == encoder and json.dumps(back.to_json()) == text
    with pytest.raises(ValueError, match="format 99"):
        Encoder.from_json({**encoder.to_json(), "format": 99})


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=list(ENCODERS))
@settings(max_examples=40, deadline=None)
@given(rows=ROWS, cut=st.integers(0, 40))
def test_encoding_is_pure_and_a_batch_in_two_halves_is_the_whole(
    encoder: Encoder, rows: list[tuple[Any, Any, Any]], cut: int
) -> None:
    table = table_of(rows)
    matrix = encoder.apply(table)
    assert (
        matrix.dtype == np.float32 and matrix.shape == (len(rows), len(encoder.columns)) and matrix.flags.c_contiguous
    )
    np.testing.assert_array_equal(encoder.apply(table), matrix)
    np.testing.assert_array_equal(
        np.concatenate([encoder.apply(table.slice(0, cut)), encoder.apply(table.slice(min(cut, len(rows))))]), matrix
    )
    wider = table.append_column("extra", pa.nulls(len(rows))).select(["extra", "seen", "colour", "size"])
    np.testing.assert_array_equal(encoder.apply(wider), matrix)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_each_cell_is_what_encoding_it_by_hand_gives(rows: list[tuple[Any, Any, Any]]) -> None:
    def by_hand(size: float | None, colour: str | None, seen: datetime | None) -> list[float]:
        number = math.nan if size is None or not math.isfinite(size) else size
        code = math.nan if colour is None else {"red": 1.0, "green": 2.0, "": 3.0}.get(colour, 0.0)
        days = (
            math.nan
            if seen is None
            else (seen.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() / 86_400
        )
        return [number, code, days]

    expected = np.array([by_hand(*row) for row in rows], np.float32).reshape(-1, 3)
    np.testing.assert_allclose(ENCODERS["trees"].apply(table_of(rows)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "type_",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
    ids=str,
)
def test_a_category_has_one_code_whatever_kind_of_string_holds_it(type_: pa.DataType) -> None:
    plain = pa.array(["b", "a", None, "z", "b"])
    held = plain.dictionary_encode().cast(type_) if pa.types.is_dictionary(type_) else plain.cast(type_)
    np.testing.assert_array_equal(one("category", held, ("a", "b")), one("category", plain, ("a", "b")))
    np.testing.assert_array_equal(one("category", plain, ("a", "b")), [2, 1, math.nan, 0, 2])


def test_dates_and_times_are_days_since_1970() -> None:
    assert one("time", pa.array([date(1970, 1, 1), date(2024, 2, 29)], pa.date32())) == [0, 19_782]
    assert one("time", pa.array([date(2024, 2, 29)], pa.date64())) == [19_782]
    assert one("time", pa.array([datetime(1970, 1, 2, 12)], pa.timestamp("ms"))) == [1.5]
    assert one("time", pa.array([datetime(1970, 1, 2, 12, tzinfo=UTC)], pa.timestamp("ns", "Asia/Tokyo"))) == [1.5]


def test_every_kind_of_number_is_that_number_and_what_is_not_finite_is_missing() -> None:
    whole = pa.array([0, 1, None, 7])
    for type_ in (pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(21, 2)):
        np.testing.assert_array_equal(one("number", whole.cast(type_)), [0, 1, math.nan, 7])
    np.testing.assert_array_equal(one("number", whole.dictionary_encode()), [0, 1, math.nan, 7])
    np.testing.assert_array_equal(one("number", pa.array([True, None, False])), [1, math.nan, 0])
    np.testing.assert_array_equal(one("number", [math.inf, -math.inf, math.nan, 1e300]), [math.nan] * 4)
    np.testing.assert_array_equal(one("number", pa.nulls(2)), [math.nan] * 2)


@pytest.mark.parametrize(
    ("kind", "values"),
    [("number", ["1"]), ("category", [1]), ("time", [1]), ("number", [datetime(2024, 1, 1)]), ("category", [[1]])],
    ids=str,
)
def test_a_column_of_another_type_than_in_training_is_refused(kind: str, values: Any) -> None:
    with pytest.raises(DataError, match="but the model was trained on a") as told:
        one(kind, pa.array(values), ("a",) if kind == "category" else ())
    assert told.value.exit_code == 3 and told.value.problems[0].column == "a"


@pytest.mark.parametrize(
    ("values", "most"),
    [([1.0, 7.0, None], 14.0), ([-3.0, -1.0, None], 0.0), ([-3.0, 0.0, None], 0.0), ([1.0, 7.0, 2.0], None)],
)
def test_for_trees_a_number_beyond_twice_the_largest_is_bounded_where_numbers_are_missing(
    values: list[float | None], most: float | None
) -> None:
    encoder = fitted({"a": pa.chunked_array([values])}, "trees")
    matrix = encoder.apply(pa.table({"a": [-1e30, 1.5, 13.9, 1e30, None, math.inf]}))[:, 0]
    if most is None:
        np.testing.assert_array_equal(matrix, np.array([-1e30, 1.5, 13.9, 1e30, np.nan, np.nan], np.float32))
    else:
        np.testing.assert_allclose(matrix, [-1e30, *np.minimum([1.5, 13.9, 1e30], most), np.nan, np.nan], atol=1e-6)
        assert encoder == type(encoder).from_json(json.loads(json.dumps(encoder.to_json())))


@pytest.mark.parametrize("scale", ["none", "log", "standard", "quantile"])
def test_xgboost_takes_no_large_value_for_a_missing_one(scale: str) -> None:
    """Alone, it does: a cut at twice the largest value of train tells values from missing ones (XGBoost 3.2)."""
    rng = np.random.default_rng(0)
    number = np.abs(rng.normal(size=4_000)) + 0.1
    is_missing = rng.random(4_000) < 0.2
    label = 5.0 * is_missing + rng.normal(size=4_000) / 10
    values = pa.chunked_array([pa.array(number, mask=is_missing)])
    encoder = fitted({"a": values}, "trees", {"a": {"scale": scale}})
    rows = xgboost.QuantileDMatrix(encoder.apply(pa.table({"a": values})), label)
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, rows, 20)
    scores = booster.inplace_predict(encoder.apply(pa.table({"a": [float(number.max()), 8.0, 1e3, 1e30, None]})))
    np.testing.assert_allclose(scores, [scores[0]] * 4 + [5.0], atol=0.2)
    assert abs(scores[0]) < 0.2


def test_for_nets_every_cell_is_finite_and_a_missing_number_is_the_median_with_a_flag() -> None:
    table = table_of(
        [
            (3.0, "red", datetime(1970, 1, 1)),
            (None, None, None),
            (math.inf, "other", datetime(2300, 1, 1)),
            (-9.0, "", datetime(1900, 1, 1)),
        ]
    )
    expected = [[1.5, 0, 2, -1], [0, 1, 0, 0], [0, 1, 1, 1], [-1.5, 0, 4, -1]]
    encoder = ENCODERS["nets"]
    np.testing.assert_array_equal(encoder.apply(table), np.array(expected, np.float32))
    assert encoder.columns == ("size", "size is missing", "colour", "seen") and encoder.cardinalities == (0, 0, 5, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=400))
def test_knots_rise_and_go_to_the_normal_quantile_of_the_rank(sample: list[float]) -> None:
    values, quantiles = normal_quantiles(np.array(sample))
    assert len(values) == len(quantiles) <= MAX_KNOTS
    assert (np.diff(values) > 0).all() and (np.diff(quantiles) > 0).all()
    below = np.array([np.mean([x < v for x in sample]) + np.mean([x == v for x in sample]) / 2 for v in values])
    np.testing.assert_allclose(quantiles, scipy.stats.norm.ppf(below), atol=1e-9)


def test_for_nets_rare_categories_share_the_id_of_the_unseen() -> None:
    words = ["a"] * 9 + ["b"] * RARE + ["c"] * (RARE - 1) + [None]
    encoder = fitted({"word": pa.chunked_array([words])}, "nets")
    assert encoder.apply(pa.table({"word": ["a", "b", "c", "z", None]}))[:, 0].tolist() == [2, 3, 1, 1, 0]
    assert encoder.cardinalities == (4,)


def test_for_nets_a_column_scaled_to_1e12_is_encoded_as_before() -> None:
    plain = np.random.default_rng(0).normal(size=500)
    encoded = [
        fitted({"x": pa.chunked_array([plain * scale])}, "nets").apply(pa.table({"x": plain * scale}))
        for scale in (1.0, 1e12)
    ]
    np.testing.assert_allclose(encoded[0], encoded[1], atol=1e-5)
    assert abs(encoded[0].mean()) < 0.01 and abs(encoded[0].std() - 1) < 0.02


def test_missing_columns_are_counted_and_named() -> None:
    with pytest.raises(DataError, match="2 of 3 columns are missing: colour, seen"):
        ENCODERS["trees"].apply(pa.table({"size": [1.0]}))


def test_few_values_are_native_categories_and_many_are_ranks() -> None:
    words = tuple(f"w{i:02}" for i in range(MAX_NATIVE + 1))
    encoder = fitted(
        {
            "few": pa.chunked_array([[*words[:-1], None]]),
            "many": pa.chunked_array([words]),
            "n": pa.chunked_array([np.arange(9.0)]),
        }
    )
    assert encoder.cardinalities == (MAX_NATIVE + 1, 0, 0)


def fitted(
    columns: dict[str, pa.ChunkedArray], needs: str = "trees", chosen: dict[str, dict[str, Any]] | None = None
) -> Any:
    profile = Profile(
        types={name: values.type for name, values in columns.items()},
        columns={name: describe_column(values) for name, values in columns.items()},
        counts=RowCounts(),
        parts={},
        labels={},
        classes=(),
        sample=pa.table(columns),
    )
    return fit_encoders(profile, [needs], chosen)[needs]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=60).filter(lambda words: len(set(words)) > 1))
def test_codes_follow_falling_frequency_in_training_ties_by_text(words: list[str]) -> None:
    (column,) = fitted({"a": pa.chunked_array([words])}).encoded
    assert list(column.categories) == sorted(set(words), key=lambda word: (-words.count(word), word))


def test_columns_that_say_nothing_are_left_out_of_the_matrix() -> None:
    columns: dict[str, Any] = {
        "number": [1.0, 2.0],
        "constant": [5.0, 5.0],
        "one_word": ["a", "a"],
        "null": pa.array([None, None], pa.float64()),
        "word_or_null": ["a", None],
        "or_infinite": [5.0, math.inf],
        "list": pa.array([[1], [2]]),
    }
    made = {name: pa.chunked_array([values]) for name, values in columns.items() if name != "list"}
    assert fitted(made).columns == ("number", "word_or_null", "or_infinite")
    assert kind_of(columns["list"].type) is None
    with pytest.raises(DataError, match="none of 2 columns varies"):
        fitted({name: made[name] for name in ("constant", "null")})
