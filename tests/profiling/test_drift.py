"""Drift from the training rows: none where there is none, named where it was planted; histograms hold no row."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_pipeline.profiling.drift import LOW, MEDIUM, column_drift, from_json, histograms, stability, to_json


def table(rows: int, seed: int, shift: float = 0.0) -> pa.Table:
    draw = np.random.default_rng(seed)
    number = pa.array(draw.normal(size=rows) + shift, mask=draw.random(rows) < 0.1)
    when = pa.array((draw.random(rows) * 1e15).astype("int64"), pa.timestamp("us"))
    return pa.table(
        {
            "number": number,
            "text": draw.choice(list("abcd"), rows, p=[0.5, 0.3, 0.1, 0.1]),
            "flag": draw.random(rows) < 0.2,
            "when": when,
            "none": pa.nulls(rows, pa.float64()),
        }
    )


def drift_of(train: pa.Table, new: pa.Table) -> dict[str, dict]:
    known = from_json(json.loads(json.dumps(to_json(histograms(train, train.column_names)))))
    return {
        row["column"]: row for row in column_drift(known, {name: one.count(new[name]) for name, one in known.items()})
    }


@pytest.mark.parametrize("rows", [200, 5_000])
def test_rows_of_the_same_kind_have_not_drifted(rows: int) -> None:
    assert not [row for row in drift_of(table(5_000, 0), table(rows, 1)).values() if row["severity"]]


def test_the_columns_that_moved_most_come_first() -> None:
    new = table(4_000, 2, shift=1.0)
    new = new.set_column(1, "text", pa.array(["z"] * 1_000 + new["text"].to_pylist()[1_000:]))
    drifts = drift_of(table(5_000, 0), new)
    assert set(list(drifts)[:2]) == {"number", "text"}
    assert (drifts["number"]["severity"], drifts["text"]["severity"]) == ("medium", "medium")
    assert not drifts["when"]["severity"] and not drifts["none"]["severity"]


def test_values_gone_missing_are_a_drift_of_their_own() -> None:
    new = table(4_000, 3)
    assert (
        drift_of(table(5_000, 0), new.set_column(0, "number", pa.nulls(4_000, pa.float64())))["number"]["index"]
        > MEDIUM
    )


def test_the_plain_index_is_that_of_the_books_and_what_is_beyond_chance_is_less() -> None:
    known = histograms(table(5_000, 0), ["number"])
    counts = known["number"].count(table(300, 1)["number"])
    (row,) = column_drift(known, {"number": counts})
    ours, theirs = np.asarray(known["number"].counts), counts
    assert min(ours.min(), theirs.min()) > 0
    p, q = ours / ours.sum(), theirs / theirs.sum()
    assert row["psi"] == pytest.approx(float(((q - p) * np.log(q / p)).sum()), abs=1e-4)
    assert row["index"] < row["psi"]


def test_the_profile_holds_no_row() -> None:
    columns = to_json(histograms(table(5_000, 0), ["number", "text"]))["columns"]
    assert len(columns["number"]["counts"]) <= 11 and len(columns["text"]["counts"]) == 6
    assert sum(columns["number"]["counts"]) == 5_000


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(lambda counts: sum(counts) > 0))
def test_the_index_is_nothing_between_equal_shares_and_never_below_nothing(counts: list[int]) -> None:
    array = np.asarray(counts)
    assert stability(array, array)[0] == 0.0
    assert min(stability(array, array[::-1])) >= 0.0
    assert LOW < MEDIUM
