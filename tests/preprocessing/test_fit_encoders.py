"""Encoders are fitted from the profile alone, on the columns that say something."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from profile_fixture import profile_of

from ray_pipeline.errors import DataError
from ray_pipeline.preprocessing.fit_encoders import fit_encoders

ROWS = 300
RNG = np.random.default_rng(0)
TIMES = np.datetime64("2024-01-01", "us") + np.arange(ROWS) * np.timedelta64(6, "h")
COLUMNS = {
    "amount": RNG.lognormal(size=ROWS),
    "purpose": pa.array(RNG.choice(["car", "home", "trip"], ROWS)),
    "asked": pa.array(TIMES),
    "empty": pa.nulls(ROWS, pa.float64()),
    "one": np.ones(ROWS),
    "one_word": pa.array(["same"] * ROWS),
    "one_or_missing": pa.array([1.0 if row % 2 else None for row in range(ROWS)]),
}
LABEL = pa.array(RNG.random(ROWS) < 0.5)
LABEL_1000 = pa.array(RNG.random(1000) < 0.5)


def test_columns_that_say_nothing_are_left_out_and_one_that_is_sometimes_missing_is_not() -> None:
    (encoder,) = fit_encoders(profile_of(COLUMNS, LABEL), ["trees"]).values()
    assert encoder.reads == ("amount", "purpose", "asked", "one_or_missing")


def test_a_column_that_varies_outside_of_train_alone_is_left_out() -> None:
    part = np.repeat([0, 1, 2], ROWS // 3)
    columns = {**COLUMNS, "later": np.where(part == 0, 1.0, np.arange(ROWS))}
    (encoder,) = fit_encoders(profile_of(columns, LABEL, part), ["trees"]).values()
    assert "later" not in encoder.reads


def test_each_name_is_fitted_once_in_the_order_in_which_it_is_first_asked_for() -> None:
    found = fit_encoders(profile_of(COLUMNS, LABEL), ["nets", "trees", "nets"])
    assert list(found) == ["nets", "trees"]
    assert [type(encoder).__name__ for encoder in found.values()] == ["Nets", "Trees"]


def test_a_table_in_which_nothing_varies_is_refused() -> None:
    profile = profile_of({name: COLUMNS[name] for name in ("empty", "one", "one_word")}, LABEL)
    with pytest.raises(DataError, match="none of 3 columns varies in the training rows") as refused:
        fit_encoders(profile, ["trees"])
    assert refused.value.exit_code == 3


def test_a_column_has_its_own_options_where_it_is_given_some() -> None:
    profile = profile_of(COLUMNS, LABEL)
    plain = fit_encoders(profile, ["trees"])["trees"]
    chosen = fit_encoders(profile, ["trees"], {"purpose": {"encode": "one_hot"}})["trees"]
    assert [name for name in plain.columns if "purpose" in name] == ["purpose"]
    assert len([name for name in chosen.columns if "purpose" in name]) > 1
    assert [name for name in chosen.columns if "purpose" not in name] == ["amount", "asked", "one_or_missing"]


@pytest.mark.parametrize("name", ["trees", "nets"])
def test_the_same_rows_in_other_blocks_give_the_same_encoder(name: str) -> None:
    one, many = (fit_encoders(profile_of(COLUMNS, LABEL, blocks=blocks), [name])[name] for blocks in (1, 7))
    table = pa.table(COLUMNS)
    np.testing.assert_allclose(one.apply(table), many.apply(table), rtol=1e-6, equal_nan=True)
    assert one.reads == many.reads and one.columns == many.columns


def test_numbers_are_scaled_by_the_mean_and_deviation_of_all_training_rows() -> None:
    profile = profile_of(COLUMNS, LABEL, blocks=5)
    own = {name: {"scale": "standard"} for name in ("amount", "asked")}
    encoder = fit_encoders(profile, ["trees"], own)["trees"]
    matrix = encoder.apply(pa.table(COLUMNS))
    for name in own:
        column = matrix[:, encoder.columns.index(name)]
        assert abs(column.mean()) < 1e-5 and abs(column.std() - 1) < 1e-5, name


FAR = {
    "around 10^12": pa.array(10.0**12 + np.arange(1000)),
    "epoch milliseconds": pa.array(1_711_111_111_111 + np.arange(1000)),
    "10 s apart": pa.array(np.datetime64("2024-03-01", "us") + np.arange(1000) * np.timedelta64(10, "s")),
    "ids beyond 2^53": pa.array(2**60 + np.arange(1000)),
    "mostly far": pa.array(np.where(np.arange(1000) % 10 == 0, 0, 1_711_111_111_111 + np.arange(1000))),
    "with nulls": pa.array([None if row % 7 == 3 else 10**12 + row for row in range(1000)]),
}


@pytest.mark.parametrize("name", ["trees", "nets"])
@pytest.mark.parametrize("column", FAR)
def test_values_far_from_zero_stay_different(column: str, name: str) -> None:
    table = pa.table({column: FAR[column], "other": np.random.default_rng(1).normal(size=1000)})
    encoder = fit_encoders(profile_of({n: table[n].combine_chunks() for n in table.column_names}, LABEL_1000), [name])[
        name
    ]
    stored = type(encoder).from_json(json.loads(json.dumps(encoder.to_json())))
    matrix = stored.apply(table.filter(pc.is_valid(table[column])))[:, 0]
    assert len(np.unique(matrix)) == len(pc.unique(table[column].drop_null()))
    assert np.array_equal(stored.apply(table.slice(500)), stored.apply(table)[500:], equal_nan=True)


def test_columns_that_float32_holds_have_no_offset() -> None:
    noise = np.arange(1000) % 50 * 0.1 + np.arange(1000) % 3 * 1e-16
    plain = {
        "noise": noise,
        "hours": pa.array(np.datetime64("2013-01-01", "us") + np.arange(1000) * np.timedelta64(1, "h")),
        "uniform": np.random.default_rng(0).random(1000),
        "wide": np.random.default_rng(0).lognormal(10, 20, 1000),
        "flags": np.arange(1000) % 2,
        "max": 1.7e308 * np.linspace(-1, 1, 1000),
    }
    encoder = fit_encoders(profile_of(plain, LABEL_1000), ["trees"])["trees"]
    assert "offset" not in json.dumps(encoder.to_json())


def test_a_missing_value_is_filled_with_what_the_column_has_whatever_is_subtracted() -> None:
    far = pa.array([None, *(10**12 + np.arange(999))])
    near = pa.array([None, *np.arange(999)])
    table = pa.table({"far": far, "near": near})
    for impute in ("mean", "median", "most_frequent"):
        for scale in ("none", "standard", "robust"):
            own = {name: {"impute": impute, "scale": scale} for name in table.column_names}
            encoder = fit_encoders(profile_of({"far": far, "near": near}, LABEL_1000), ["trees"], own)["trees"]
            ours, plain = encoder.apply(table).T
            gaps = ours - ours[1], plain - plain[1]
            np.testing.assert_allclose(*gaps, atol=1e-4, err_msg=f"{impute} {scale}")
    own = {"far": {"impute": 10.0**12 + 7}}
    encoder = fit_encoders(profile_of({"far": far, "near": near}, LABEL_1000), ["trees"], own)["trees"]
    matrix = encoder.apply(table)[:, 0]
    assert matrix[0] == matrix[8]
