"""Feature tables are joined to rows in this process exactly as a run joins them, by the model's own spec."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from serving_fixture import train_on_numbers
from tables import SPEC

from ray_pipeline.errors import DataError
from ray_pipeline.serving import LoadedModel

COLUMNS = ["amount", "rates.rate", "branches.size"]
DAY = dt.datetime(2024, 1, 5, tzinfo=dt.UTC)


def at(hour: float) -> dt.datetime:
    """A moment of the day of the tests."""
    return DAY + dt.timedelta(hours=hour)


RATES = {  # the hour, when its rate was known, and the rate
    "branch": ["a", "a", "a", "b"],
    "hour": [at(1), at(2), at(2), at(1)],
    "known": [at(2), at(3), at(5), at(2)],
    "rate": [-1.0, 0.5, 0.9, 0.0],
}
BRANCHES = {"branch": ["a", "b"], "size": [1, 2]}
ROWS = {
    "amount": [0.5] * 6,
    "branch": ["a", "a", "a", "a", "z", None],
    "asked": [at(1), at(2), at(3), at(9), at(4), at(4)],
}
JOINED_RATES = [None, -1.0, 0.5, None, None, None]
"""Not yet known; known at that moment; the later hour; older than 6 hours; never seen; no key."""
JOINED_SIZES = [1, 1, 1, 1, None, None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model on a column of its own and of two feature tables."""
    return train_on_numbers(tmp_path_factory.mktemp("model"), "regression", COLUMNS, spec=SPEC)


@pytest.fixture
def expected(model: LoadedModel) -> np.ndarray:
    """The scores of the rows with the columns that the join must find."""
    values = [ROWS["amount"], JOINED_RATES, JOINED_SIZES]
    return model.predict(pa.table({name: pa.array(v, pa.float64()) for name, v in zip(COLUMNS, values, strict=True)}))


def features(**changes: Any) -> dict[str, Any]:
    """Both feature tables."""
    return {"rates": pa.table(RATES), "branches": pa.table(BRANCHES)} | changes


@pytest.mark.parametrize("counted", ["labels", "rates"])
def test_integers_since_1970_are_joined_with_times_in_utc(
    model: LoadedModel, expected: np.ndarray, tmp_path: Path, counted: str
) -> None:
    def seconds(times: list[dt.datetime]) -> list[int]:
        return [int(time.timestamp()) for time in times]

    changes = {
        "labels": ("time: asked", "time: asked\n    time_unit: s"),
        "rates": ("time: hour", "time_unit: s, time: hour"),
    }
    trained = train_on_numbers(tmp_path, "regression", COLUMNS, spec=SPEC.replace(*changes[counted]))
    rates = {name: seconds(values) if name in ("hour", "known") else values for name, values in RATES.items()}
    rows = ROWS | ({"asked": seconds(ROWS["asked"])} if counted == "labels" else {})
    given = features(**({"rates": pa.table(rates)} if counted == "rates" else {}))
    np.testing.assert_array_equal(trained.predict(pa.table(rows), features=given), expected)


@pytest.mark.parametrize("library", [pa.table, pl.DataFrame, pd.DataFrame, lambda table: table], ids=str)
def test_each_row_gets_the_row_that_was_known_at_its_time(
    model: LoadedModel, expected: np.ndarray, library: Any
) -> None:
    given = {name: table.to_pandas() if library is pd.DataFrame else table for name, table in features().items()}
    rows = pa.table(ROWS).to_pylist() if library not in (pa.table, pl.DataFrame) else library(ROWS)
    np.testing.assert_array_equal(model.predict(rows, features=given), expected)
    assert len(np.unique(expected)) > 3  # the joined columns matter


def test_the_same_tables_may_be_files(model: LoadedModel, expected: np.ndarray, tmp_path: Path) -> None:
    pq.write_table(pa.table(RATES), tmp_path / "rates.parquet")
    pacsv.write_csv(pa.table(BRANCHES), tmp_path / "branches.csv")
    files = {"rates": str(tmp_path / "rates.parquet"), "branches": tmp_path / "branches.csv"}
    np.testing.assert_array_equal(model.predict(pa.table(ROWS), features=files), expected)


def test_a_prepared_table_serves_many_calls(model: LoadedModel, expected: np.ndarray) -> None:
    prepared = model.prepare(features())
    rows = pa.table(ROWS)
    one_by_one = [model.predict(rows.slice(place, 1), features=prepared)[0] for place in range(len(rows))]
    assert one_by_one == expected.tolist()
    nanoseconds = rows.set_column(2, "asked", rows["asked"].cast(pa.timestamp("ns", "UTC")))
    np.testing.assert_array_equal(model.predict(nanoseconds, features=prepared), expected)
    assert sorted(prepared["rates"].prepared) == ["ns", "us"]


def test_rows_without_a_time_are_joined_as_of_now(model: LoadedModel) -> None:
    now = dt.datetime.now(dt.UTC)
    hours = [now - dt.timedelta(hours=h) for h in (7, 2, -1)]  # too old, the latest one, not yet
    rates = pa.table({"branch": ["a"] * 3, "hour": hours, "known": hours, "rate": [0.1, 0.5, 0.9]})
    scored = model.predict([{"amount": 1.0, "branch": "a"}], features=features(rates=rates))
    known = model.predict([{"amount": 1.0, "rates.rate": 0.5, "branches.size": 1}])
    assert scored.tolist() == known.tolist()


def test_a_table_may_be_left_out_where_the_rows_have_its_columns(model: LoadedModel, expected: np.ndarray) -> None:
    rows = pa.table(ROWS).append_column("branches.size", pa.array(JOINED_SIZES))
    np.testing.assert_array_equal(model.predict(rows, features={"rates": pa.table(RATES)}), expected)
    with pytest.raises(DataError, match=r"1 of 3 columns are missing: branches\.size"):
        model.predict(pa.table(ROWS), features={"rates": pa.table(RATES)})


WRONG = {
    "unknown table": (ROWS, {"rate": pa.table(RATES)}, "no feature table 'rate' .*did you mean 'rates'"),
    "no key": ({"amount": [1.0], "asked": [at(1)]}, features(), "the rows have no column 'branch'"),
    "another key": (ROWS | {"branch": [1] * 6}, features(), "'branch' is int64 in the rows and string in rates"),
    "no time": (ROWS | {"asked": ["2024"] * 6}, features(), "'asked' is string, which is no time"),
    "no zone": (ROWS | {"asked": [dt.datetime(2024, 1, 5)] * 6}, features(), "give both in UTC"),
    "null time": (ROWS | {"asked": [at(1)] * 5 + [None]}, features(), "'asked' is null in 1 of 6 rows"),
    "no column": (ROWS, features(rates=pa.table({"branch": ["a"]})), "rates: 3 of 4 columns are missing: hour, known"),
    "joined twice": (ROWS | {"rates.rate": [1.0] * 6}, features(), "column 'rates.rate' is there 2 times"),
    "no answer": (ROWS, features(branches=pa.table({"branch": ["a", "a"], "size": [1, 2]})), "1 rows repeat a key"),
    "no file": (ROWS, features(rates="/nowhere/rates.parquet"), "there is no such file or folder"),
    "no columns in a file": (ROWS, "file", "branches: 1 of 2 columns are missing: size"),
}


@pytest.mark.parametrize(("rows", "given", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_joined_is_refused(
    model: LoadedModel, rows: Any, given: Any, message: str, tmp_path: Path
) -> None:
    if given == "file":
        pq.write_table(pa.table({"branch": ["a"]}), tmp_path / "branches.parquet")
        given = features(branches=tmp_path / "branches.parquet")
    with pytest.raises(DataError, match=message) as told:
        model.predict(pa.table(rows), features=given)
    assert told.value.exit_code == 3 and told.value.problems[0].fix


def test_a_row_without_a_key_value_matches_nothing(model: LoadedModel) -> None:
    scored = model.predict([{"amount": 1.0, "branch": None, "asked": at(3)}], features=features())
    alone = pa.table(
        {name: pa.array([value], pa.float64()) for name, value in zip(COLUMNS, [1.0, None, None], strict=True)}
    )
    assert scored.tolist() == model.predict(alone).tolist()


def test_without_features_the_score_is_that_of_the_bundle(model: LoadedModel) -> None:
    rows = pa.table({name: np.linspace(-1, 1, 20) for name in COLUMNS})
    for given in (None, {}):
        np.testing.assert_array_equal(model.predict(rows, given), model.score(rows))


def test_what_is_neither_a_path_nor_a_table_is_refused(model: LoadedModel) -> None:
    for given, what in (
        (pl.DataFrame(BRANCHES).lazy(), "a LazyFrame"),
        ([{"branch": "a"}], "a list"),
        (BRANCHES, "a dict"),
    ):
        with pytest.raises(DataError, match=f"branches: expected a path, or a table .* got {what}"):
            model.prepare({"branches": given})
