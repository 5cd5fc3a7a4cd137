"""Every encoding of a column against scikit-learn's, or against the definition by hand; as plain JSON, and the same in
any batch."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from ray_pipeline.components.choice import menu
from ray_pipeline.components.column_encodings._base import FOLDS
from ray_pipeline.components.column_encodings._columns import numbers, offset_of
from ray_pipeline.components.column_encodings.target import SMOOTH
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.encoders.nets import Nets
from ray_pipeline.components.encoders.trees import Trees
from ray_pipeline.data.rows import KEY, LABEL, PART, WEIGHT, RowCounts
from ray_pipeline.preprocessing.encode import fit_encoders
from ray_pipeline.profiling.block_summary import BlockSummary, SummaryOptions, read_summary, summarize
from ray_pipeline.profiling.label_folds import folds, outcome_arrays
from ray_pipeline.profiling.profile import Profile

FINITE = st.floats(-1e4, 1e4, allow_subnormal=False)
NUMBERS = st.lists(st.one_of(st.none(), FINITE), min_size=3, max_size=60).filter(
    lambda values: len({v for v in values if v is not None}) > 1
)
WORDS = st.lists(st.one_of(st.none(), st.sampled_from("abcdefg")), min_size=6, max_size=80).filter(
    lambda words: len(set(words) - {None}) > 1
)


def fitted(
    values: Any, options: Mapping[str, Any], needs: str = "trees", label: Any = None
) -> tuple[Encoder, pa.Table]:
    """The encoder of one column `a` with those options, fitted on the values in three blocks; and the rows."""
    values = values if isinstance(values, pa.Array) else pa.array(values)
    rows = len(values)
    table = pa.table(
        {
            "a": values,
            KEY: np.arange(rows),
            LABEL: np.zeros(rows) if label is None else label,
            WEIGHT: np.ones(rows),
            PART: pa.array(np.zeros(rows), pa.int8()),
        }
    )
    by_label = ("a",) if options.get("encode") == "target" else ()
    summary_options = SummaryOptions(
        features=("a",), group=None, classify=False, sample_rows=10_000, hash_share=1.0, by_label=by_label
    )
    total, step = BlockSummary(), rows // 3 + 1
    for start in range(0, rows, step):
        row = summarize(table.slice(start, step), RowCounts(), summary_options).to_pylist()[0]
        total = total + read_summary(row)[0]
    profile = Profile(
        types={"a": values.type},
        columns=total.columns,
        counts=RowCounts(),
        parts=total.parts,
        labels={},
        classes=(),
        sample=total.sampled(0),
        outcomes=outcome_arrays(total.outcomes),
    )
    return fit_encoders(profile, [needs], {"a": options})[needs], table


def cells(values: Any, options: Mapping[str, Any], needs: str = "trees", label: Any = None) -> np.ndarray:
    encoder, table = fitted(values, options, needs, label)
    return encoder.apply(table)


def column(values: Any) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], float)[:, None]


@settings(max_examples=60, deadline=None)
@given(NUMBERS, st.sampled_from(["mean", "median", "most_frequent", 7.0]))
def test_imputed_numbers_are_scikit_learn_s(values: list[float | None], how: str | float) -> None:
    imputer = (
        SimpleImputer(strategy=how) if isinstance(how, str) else SimpleImputer(strategy="constant", fill_value=how)
    )
    np.testing.assert_allclose(
        cells(values, {"impute": how}), imputer.fit_transform(column(values)), rtol=1e-5, atol=1e-4
    )


def test_numbers_near_either_end_of_64_bits_stay_different() -> None:
    for end in (2**63 - 4, -(2**63)):
        near = pa.chunked_array([[end + step for step in range(4)]])
        offset = offset_of(near)
        assert len(np.unique(numbers(near, offset))) == 4 and np.ptp(numbers(near, offset)) == 3
    both = pa.chunked_array([[2**63 - 1, -(2**63), None]])
    assert np.isfinite(numbers(both, 2.0**63)[:2]).all() and numbers(both, offset_of(both)).shape == (3,)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, st.sampled_from(["standard", "robust"]))
def test_scaled_numbers_are_scikit_learn_s(values: list[float | None], how: str) -> None:
    plain = column(values)
    spread = np.nanstd(plain) if how == "standard" else np.subtract(*np.nanquantile(plain, [0.75, 0.25]))
    if spread < max(
        1e-6 * np.nanmax(np.abs(plain)), 10 * np.finfo(float).eps
    ):  # scikit-learn takes such a spread for none
        return
    scaler = StandardScaler() if how == "standard" else RobustScaler()
    np.testing.assert_allclose(cells(values, {"scale": how}), scaler.fit_transform(plain), rtol=1e-4, atol=1e-3)


def test_quantiles_to_normal_agree_with_scikit_learn_between_the_ends() -> None:
    values = np.random.default_rng(0).lognormal(size=2_000)
    ours = cells(values, {"scale": "quantile"})[:, 0]
    theirs = QuantileTransformer(n_quantiles=2_000, output_distribution="normal", subsample=None).fit_transform(
        values[:, None]
    )[:, 0]
    inner = np.abs(theirs) < 1.9  # knots are even in rank, so that the tails are cut into few pieces
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=0.02)


@settings(max_examples=40, deadline=None)
@given(NUMBERS)
def test_the_logarithm_is_signed(values: list[float | None]) -> None:
    plain = column(values)
    np.testing.assert_allclose(
        cells(values, {"scale": "log"}), np.sign(plain) * np.log1p(np.abs(plain)), rtol=1e-5, atol=1e-30
    )


@pytest.mark.parametrize("needs", ["trees", "nets"])
def test_a_flag_says_what_was_missing_and_scaling_follows_filling(needs: str) -> None:
    made = cells([1.0, None, 3.0, 8.0], {"impute": "mean", "flag": True, "scale": "standard"}, needs)
    scaled = (np.array([1, 4, 3, 8]) - 4) / np.std([1, 3, 8])
    np.testing.assert_allclose(made, np.stack([scaled, [0, 1, 0, 0]], axis=1), rtol=1e-6)
    assert fitted([1.0, None, 3.0], {"flag": False}, needs)[0].columns == ("a",)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_one_hot_is_scikit_learn_s(words: list[str | None]) -> None:
    encoder, table = fitted(pa.array(words, pa.string()), {"encode": "one_hot"})
    kept = [name.removeprefix("a = ") for name in encoder.columns]
    theirs = OneHotEncoder(categories=[kept], handle_unknown="ignore", sparse_output=False).fit_transform(
        np.array(words, object)[:, None]
    )
    np.testing.assert_array_equal(encoder.apply(table), theirs)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_ordinal_codes_are_scikit_learn_s_over_falling_frequency(words: list[str | None]) -> None:
    known = sorted(set(words) - {None}, key=lambda word: (-words.count(word), word))
    theirs = OrdinalEncoder(
        categories=[known], handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=np.nan
    )
    expected = theirs.fit_transform(np.array([word or known[0] for word in words], object)[:, None])[:, 0] + 1
    expected[[word is None for word in words]] = np.nan
    np.testing.assert_array_equal(cells(pa.array(words, pa.string()), {})[:, 0], expected)


@settings(max_examples=60, deadline=None)
@given(WORDS, st.sampled_from([0, 2, 0.2]))
def test_frequency_is_the_share_of_rows_and_the_rare_share_theirs(words: list[str | None], rare: float) -> None:
    least = rare * sum(word is not None for word in words) if 0 < rare < 1 else rare
    of_rare = sum(words.count(word) for word in set(words) - {None} if words.count(word) < least)
    expected = [
        (of_rare if word is not None and words.count(word) < least else words.count(word)) / len(words)
        for word in words
    ]
    np.testing.assert_allclose(
        cells(pa.array(words, pa.string()), {"encode": "frequency", "rare": rare})[:, 0], expected, rtol=1e-6
    )


def test_rare_values_become_other_and_nulls_are_filled_with_the_commonest() -> None:
    words = pa.array([*"aaaabbbc", None])
    encoder, _ = fitted(words, {"encode": "one_hot", "rare": 2, "impute": "most_frequent"})
    assert encoder.columns == ("a = a", "a = b", "a is other")
    np.testing.assert_array_equal(
        encoder.apply(pa.table({"a": ["a", "c", "new", None]})), [[1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]]
    )
    encoder, _ = fitted(words, {"rare": 0.2, "impute": "none at all"})
    np.testing.assert_array_equal(encoder.apply(pa.table({"a": ["a", "b", "c", None]}))[:, 0], [1, 2, 0, 0])


@settings(max_examples=40, deadline=None)
@given(WORDS, st.integers(0, 2**32 - 1))
def test_the_mean_label_is_scikit_learn_s_for_new_rows_and_out_of_fold_for_training_rows(
    words: list[str | None], seed: int
) -> None:
    label = np.random.default_rng(seed).normal(size=len(words))
    encoder, table = fitted(pa.array(words, pa.string()), {"encode": "target"}, "trees", label)
    present = np.array([word is not None for word in words])
    theirs = TargetEncoder(smooth=SMOOTH, target_type="continuous").fit(
        np.array(words, object)[present][:, None], label[present]
    )
    new = pa.table({"a": pa.array([*"abcdefgz", None], pa.string())})
    expected = [*theirs.transform(np.array([*"abcdefgz"], object)[:, None])[:, 0], math.nan]
    np.testing.assert_allclose(encoder.apply(new)[:, 0], expected, rtol=1e-4, atol=1e-5)
    fold, made = folds(table), encoder.apply(table, folds(table))[:, 0]
    for row, word in enumerate(words):
        other = present & (fold != fold[row])
        same = other & (np.array(words, object) == word)
        overall = label[other].mean() if other.any() else 0.0
        by_hand = math.nan if word is None else (label[same].sum() + SMOOTH * overall) / (same.sum() + SMOOTH)
        np.testing.assert_allclose(made[row], by_hand, rtol=1e-4, atol=1e-5)
    assert encoder.needs_folds and set(fold.tolist()) <= set(range(FOLDS))


def test_a_training_row_is_not_told_its_own_label() -> None:
    words, label = [f"v{i}" for i in range(500)], np.random.default_rng(0).normal(size=500)
    encoder, table = fitted(words, {"encode": "target"}, label=label)
    assert abs(np.corrcoef(encoder.apply(table, folds(table))[:, 0], label)[0, 1]) < 0.35
    assert np.corrcoef(encoder.apply(table)[:, 0], label)[0, 1] > 0.99


def test_a_time_becomes_its_parts_or_points_on_cycles() -> None:
    moments = pa.array([datetime(2024, 2, 29, 18, 30), datetime(1999, 12, 31), None], pa.timestamp("us"))
    parts = ("year", "month", "day", "weekday", "hour", "minute", "yearday")
    plain = cells(moments, {"parts": parts})
    np.testing.assert_array_equal(plain, [[2024, 2, 29, 3, 18, 30, 60], [1999, 12, 31, 4, 0, 0, 365], [math.nan] * 7])
    encoder, table = fitted(moments, {"parts": ("year", "hour")}, "nets")
    assert encoder.columns == ("a.year", "a.hour.sin", "a.hour.cos")
    np.testing.assert_allclose(encoder.apply(table), [[2.4, -1, 0], [-0.1, 0, 1], [0, 0, 0]], atol=1e-6)
    assert cells(moments, {"parts": ("hour",), "cycles": True}).shape == (3, 2)


@pytest.mark.parametrize("type_", [pa.decimal128(22, 3), pa.bool_(), pa.float32(), pa.int8()], ids=str)
def test_decimals_and_booleans_are_numbers_to_every_option(type_: pa.DataType) -> None:
    whole = [1, 0, None, 1, 1]
    held = (
        pa.array([None if v is None else bool(v) for v in whole])
        if type_ == pa.bool_()
        else pa.array(whole, pa.int64()).cast(type_)
    )
    for options in ({"impute": "median"}, {"scale": "standard"}, {"flag": True}):
        np.testing.assert_array_equal(cells(held, options), cells(whole, options))


OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "number": ([1.0, None, 4.0, 9.0], {"impute": "mean", "scale": "robust", "flag": True}),
    "ordinal": (["a", "b", None, "b"], {"encode": "ordinal"}),
    "one_hot": (["a", "b", None, "b"], {"encode": "one_hot", "rare": 2}),
    "frequency": (["a", "b", None, "b"], {"encode": "frequency"}),
    "target": (["a", "b", None, "b"], {"encode": "target"}),
    "moment": (pa.array([datetime(2024, 1, 1), None, datetime(2025, 1, 1)]), {"parts": ("hour", "year")}),
}


def test_every_encoding_of_the_folder_is_tried_here() -> None:
    assert set(menu("column_encodings")) == set(OPTIONS)


@pytest.mark.parametrize("word", OPTIONS)
@pytest.mark.parametrize("family", [Trees, Nets])
def test_an_encoding_is_what_its_json_reads_back_and_nets_get_no_nan(word: str, family: type[Encoder]) -> None:
    values, options = OPTIONS[word]
    needs = family.__name__.lower()
    encoder, table = fitted(values, options, needs, np.arange(len(values), dtype=float))
    text = json.dumps(encoder.to_json())
    assert json.loads(text)["encoded"][0]["encoding"] == word
    back = Encoder.from_json(json.loads(text))
    assert (back, json.dumps(back.to_json())) == (encoder, text)
    made = encoder.apply(table)
    assert made.shape == (table.num_rows, len(encoder.columns)) and len(encoder.cardinalities) == len(encoder.columns)
    np.testing.assert_array_equal(
        np.concatenate([encoder.apply(table.slice(0, 2)), encoder.apply(table.slice(2))]), made
    )
    np.testing.assert_array_equal(back.apply(table), made)
    assert needs == "trees" or np.isfinite(made).all()
