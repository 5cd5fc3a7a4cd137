"""A version behind MLflow's scoring server: every documented format gives the stored scores, or a clear refusal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from bundle_fixture import Trained, train
from registry_fixture import NAME, add, model_folder
from scoring_fixture import CSV, FORMATS, JSON, PARQUET, as_csv, as_records, invoke, json_rows

from ray_pipeline.registry import Registry, package


@pytest.fixture(scope="module")
def served(three: Registry) -> Any:
    """The version as MLflow loads it."""
    return loaded(model_folder(three, f"{NAME}/1"))


@pytest.fixture(scope="module")
def server(served: Any) -> Any:
    """MLflow's application around the version."""
    return application(served)


def loaded(folder: Path) -> Any:
    """MLflow's model from a folder. Its modules warn when they are imported, but not after the registry's session."""
    import mlflow

    return mlflow.pyfunc.load_model(str(folder))


def application(model: Any) -> Any:
    """MLflow's application around a model."""
    from mlflow.pyfunc.scoring_server import init

    return init(model)


def strange_rows(trained: Trained) -> pa.Table:
    """A hundred stored rows, a tenth of each column null, with two carriers that training never saw."""
    rows = trained.rows.slice(0, 98)
    unseen = rows.slice(0, 2).set_column(1, "carrier", pa.array(["ZZ", "É"]))
    return pa.concat_tables([rows, unseen])


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_format_gives_the_stored_scores_bit_for_bit(trained: Trained, server: Any, form: str) -> None:
    write, content_type = FORMATS[form]
    rows = strange_rows(trained)
    status, answer = invoke(server, write(rows), content_type)
    assert status == 200, answer
    assert answer["predictions"] == trained.bundle.score(rows).tolist()


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("column", ["distance", "carrier", "late", "sched_dep_ts"])
def test_a_column_without_any_value_scores_in_every_format(
    trained: Trained, server: Any, form: str, column: str
) -> None:
    write, content_type = FORMATS[form]
    at = trained.rows.column_names.index(column)
    rows = trained.rows.slice(0, 3).set_column(at, column, pa.nulls(3, trained.rows[column].type))
    status, answer = invoke(server, write(rows), content_type)
    assert status == 200, answer
    assert answer["predictions"] == trained.bundle.score(rows).tolist()


@pytest.mark.parametrize("form", list(FORMATS))
def test_columns_that_the_model_does_not_know_are_ignored_in_every_format(
    trained: Trained, server: Any, form: str
) -> None:
    write, content_type = FORMATS[form]
    rows = trained.rows.slice(0, 3)
    more = rows.append_column("tags", pa.array([[1], [2], [3]])).append_column("note", pa.array(["a", None, "1"]))
    status, answer = invoke(server, write(more), content_type)
    assert status == 200, answer
    assert answer["predictions"] == trained.bundle.score(rows).tolist()


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_are_served_too(registry: Registry, tmp_path: Path, task: str) -> None:
    made = train(tmp_path / "run", task=task)
    add(registry, made, "run-1")
    app = application(loaded(model_folder(registry, f"{NAME}/1")))
    rows = made.rows.slice(0, 20)
    for write, content_type in FORMATS.values():
        status, answer = invoke(app, write(rows), content_type)
        assert status == 200, answer
        assert answer["predictions"] == made.bundle.score(rows).tolist()


def test_the_example_of_the_version_is_a_request_that_the_server_answers(
    three: Registry, trained: Trained, served: Any, server: Any
) -> None:
    folder = model_folder(three, f"{NAME}/1")
    expected = trained.bundle.score(trained.rows)[: package.EXAMPLE_ROWS]
    status, answer = invoke(server, (folder / "serving_input_example.json").read_bytes())
    assert (status, answer) == (200, {"predictions": expected.tolist()})
    example = served.metadata.load_input_example(str(folder))
    np.testing.assert_array_equal(served.predict(example), expected)


def test_an_example_holds_decimals_and_times_with_a_zone() -> None:
    rows = pa.table(
        {
            "price": pa.array([None, 125], pa.decimal128(5, 2)),
            "seen": pa.array([0, None], pa.timestamp("ns", "UTC")),
            "day": pa.array([0, None], pa.date32()),
        }
    )
    frame = package.example(rows)
    assert frame.to_dict("list") == {
        "price": [None, 125.0],
        "seen": ["1970-01-01 00:00:00.000000000Z", None],
        "day": ["1970-01-01", None],
    }


REFUSED: dict[str, tuple[Callable[[pa.Table], bytes | str], str, str]] = {
    "no JSON": (lambda _: "{", JSON, "valid JSON"),
    "no UTF-8": (lambda _: b"\xff", CSV, "UTF-8"),
    "an empty CSV": (lambda _: "", CSV, "No columns to parse"),
    "no Parquet": (lambda _: b"PAR1", PARQUET, "Parquet"),
    "no known key": (lambda _: '{"rows": []}', JSON, "exactly one of the input fields"),
    "no rows": (lambda _: '{"dataframe_records": []}', JSON, "6 of 6 columns are missing"),
    "values without names": (lambda _: '{"instances": [[1, 2]]}', JSON, "send columns with names"),
    "a single value": (lambda _: '{"inputs": 5}', JSON, "send columns with names"),
    "another kind": (
        lambda rows: as_records(rows.set_column(0, "distance", pa.array(["far"] * 3))),
        JSON,
        "column 'distance': is ",
    ),
    "numbers for a text, as CSV reads 007": (
        lambda rows: as_csv(rows.set_column(1, "carrier", pa.array(["007"] * 3))),
        CSV,
        "column 'carrier': is int64, but the model was trained on a category (string)",
    ),
    "milliseconds for a time": (
        lambda rows: as_records(rows.set_column(3, "sched_dep_ts", pa.array([1_367_402_400_000] * 3))),
        JSON,
        "column 'sched_dep_ts': is int64, but the model was trained on a time",
    ),
    "a text that is no time": (
        lambda rows: as_csv(rows.set_column(3, "sched_dep_ts", pa.array(["May 1st"] * 3))),
        CSV,
        "no time without a zone",
    ),
    "a time with a zone": (
        lambda rows: as_records(rows.set_column(3, "sched_dep_ts", pa.array(["2013-05-01T10:00:00Z"] * 3))),
        JSON,
        "write times without a zone",
    ),
    "rows of several lengths": (
        lambda rows: json.dumps({"instances": [*json_rows(rows), {"carrier": "UA"}]}),
        JSON,
        "not the same",
    ),
    "a column twice": (
        lambda rows: json.dumps(
            {"dataframe_split": {"columns": [*rows.column_names, "late"], "data": [[None] * 7] * 2}}
        ),
        JSON,
        "'late' is there 2 times",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_scored_is_the_callers_error_with_a_message(trained: Trained, server: Any, case: str) -> None:
    write, content_type, message = REFUSED[case]
    status, answer = invoke(server, write(trained.rows.slice(0, 3)), content_type)
    assert status == 400 and message in answer["message"], answer
    assert "Traceback" not in answer["message"]


def test_frames_of_pandas_score_in_every_type_that_holds_their_values(served: Any, trained: Trained) -> None:
    frame = trained.rows.to_pandas()
    expected = trained.bundle.score(trained.rows)
    for sent in (
        frame,
        frame.assign(carrier=frame["carrier"].astype("category")),
        frame.assign(carrier=frame["carrier"].astype(object), distance=frame["distance"].astype(object)),
        frame.convert_dtypes(),
        frame.assign(unheard_of=1, tags=[[1]] * len(frame)),
    ):
        np.testing.assert_array_equal(served.predict(sent), expected)


def test_a_missing_column_is_named(served: Any, trained: Trained) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"1 of 6 columns are missing: weather\.temp") as caught:
        served.predict(trained.rows.drop_columns("weather.temp").to_pandas())
    assert caught.value.get_http_status_code() == 400


def test_nulls_whole_numbers_and_unseen_values_score_as_in_the_bundle(served: Any, trained: Trained) -> None:
    strange = pd.DataFrame(
        {
            "distance": [300, 500],
            "carrier": ["ZZ", None],
            "late": [True, None],
            "sched_dep_ts": pd.to_datetime(["2013-05-01", None]),
            "weather.temp": [30, 40],
            "weather.precip": [None, None],
        }
    )
    np.testing.assert_array_equal(served.predict(strange), trained.bundle.predict(strange))
