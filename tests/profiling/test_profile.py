"""Statistics of blocks add up to the statistics of all rows, whatever the blocks; numpy is the oracle."""

import math
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_pipeline.data.rows import RowCounts
from ray_pipeline.profiling.column_statistics import ColumnStatistics, describe_column, value_counts
from ray_pipeline.profiling.profile import Profile

NUMBERS = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([math.inf, -math.inf, math.nan])), max_size=50
)
CUTS = st.lists(st.integers(0, 50), max_size=5).map(sorted)


def added(values: pa.Array, cuts: list[int]) -> ColumnStatistics:
    total, bounds = ColumnStatistics(), [0, *cuts, 50]
    for low, high in pairwise(bounds):
        total = total + describe_column(pa.chunked_array([values.slice(low, high - low)], values.type))
    return total


@settings(max_examples=80, deadline=None)
@given(NUMBERS, CUTS)
def test_profiles_of_blocks_add_up_to_numpy_on_all_rows(numbers: list[float | None], cuts: list[int]) -> None:
    statistics = added(pa.array(numbers, pa.float64()), cuts)
    plain = np.array([math.nan if x is None else x for x in numbers], float)
    finite = plain[np.isfinite(plain)]
    assert (statistics.rows, statistics.nulls, statistics.infinite, statistics.present) == (
        len(plain),
        np.isnan(plain).sum(),
        np.isinf(plain).sum(),
        len(finite),
    )
    assert (statistics.low, statistics.high) == ((finite.min(), finite.max()) if len(finite) else (None, None))
    assert statistics.mean == pytest.approx(finite.mean() if len(finite) else 0.0, rel=1e-9, abs=1e-6)
    assert statistics.m2 == pytest.approx(finite.var() * len(finite) if len(finite) else 0.0, rel=1e-6, abs=1e-3)
    assert statistics.is_constant == (len(plain) > 0 and len(finite) == len(plain) and finite.min() == finite.max())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", "ü"])), max_size=50), CUTS, st.booleans())
def test_counts_of_values_add_up_whatever_holds_them(words: list[str | None], cuts: list[int], encoded: bool) -> None:
    values = pa.array(words, pa.string())
    statistics = added(values.dictionary_encode() if encoded else values, cuts)
    counted = Counter(word for word in words if word is not None)
    assert dict(statistics.values) == dict(counted) and statistics.nulls == words.count(None)
    assert statistics.is_constant == (len(counted) == 1 and not statistics.nulls)


def test_times_are_microseconds_and_counts_are_by_text() -> None:
    statistics = describe_column(
        pa.chunked_array([pa.array([datetime(1970, 1, 1), datetime(1970, 1, 2), None], pa.timestamp("s"))])
    )
    assert (statistics.low, statistics.high, statistics.nulls) == (0.0, 86_400e6, 1)
    assert value_counts(pa.chunked_array([[1.0, 0.0, None, 1.0]])) == {"1": 2, "0": 1}


def test_numbers_too_large_to_square_are_profiled_without_failing() -> None:
    statistics = describe_column(pa.chunked_array([[1e300, -1e300]])) + describe_column(pa.chunked_array([[1.0, None]]))
    assert (statistics.low, statistics.high, statistics.nulls) == (-1e300, 1e300, 1)


def profile_of(**more: Any) -> Profile:
    fields: dict[str, Any] = {
        "types": {},
        "columns": {},
        "counts": RowCounts(),
        "parts": {"train": 10, "validation": 4, "test": 2},
        "labels": {"train": {"0": 8, "1": 2}},
        "classes": ("0", "1"),
        "sample": pa.table({"n": [None, *range(101)]}),
    }
    return Profile(**{**fields, **more})


def test_balanced_classes_weigh_the_same_and_written_weights_are_taken() -> None:
    balanced = profile_of().class_weight("balanced")
    assert balanced == (10 / 16, 10 / 4) and balanced[0] * 8 == balanced[1] * 2
    assert profile_of().class_weight({"1": 3}) == (1 / 1.4, 3 / 1.4)
    assert profile_of().class_weight({"0": 0.25, "1": 0.75}) == profile_of().class_weight({"1": 3})
    assert profile_of().class_weight(None) is None and profile_of(classes=()).class_weight("balanced") is None
    assert profile_of().label_rates("train") == ([0.8, 0.2], 10)


def test_quantiles_are_the_inner_edges_of_equally_filled_bins() -> None:
    assert profile_of().quantiles("n", 4) == [25.0, 50.0, 75.0]
    assert profile_of(sample=pa.table({"n": pa.array([None], pa.float64())})).quantiles("n", 4) == []
    infinite = pa.table({"n": [*map(float, range(101)), *[float("inf")] * 50, float("-inf")]})
    assert profile_of(sample=infinite).quantiles("n", 4) == [25.0, 50.0, 75.0]
