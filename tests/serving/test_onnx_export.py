"""An exported model gives the scores of the bundle under onnxruntime, on every kind of column, task and calibration."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import xgboost
from bundle_fixture import rows, train
from serving_fixture import numbers, train_on_numbers

from ray_pipeline.components.column_encodings.frequency import Frequency
from ray_pipeline.components.column_encodings.moment import Moment
from ray_pipeline.components.column_encodings.number import Number
from ray_pipeline.components.column_encodings.one_hot import OneHot
from ray_pipeline.components.column_encodings.ordinal import Ordinal
from ray_pipeline.components.encoders.trees import Trees
from ray_pipeline.errors import DataError, SpecError
from ray_pipeline.serving.onnx_export import compare, compare_all, export_onnx, onnx_bytes

CALIBRATIONS = [
    {"kind": "none"},
    {"kind": "sigmoid", "slope": [1.3], "offset": [-0.2]},
    {"kind": "temperature", "temperature": 1.7},
    {"kind": "isotonic", "score": [[0.1, 0.3, 0.8]], "probability": [[0.02, 0.4, 0.97]]},
]


def with_column(trained: Any, encoding: Any) -> Any:
    """The bundle with another encoding of one column, and a model of the new matrix."""
    bundle = trained.bundle
    encoded = tuple(encoding if one.name == encoding.name else one for one in bundle.encoder.encoded)
    encoder = Trees(encoded=encoded)
    matrix = encoder.apply(bundle.select(trained.rows))
    label = np.nan_to_num(matrix).sum(axis=1) + np.arange(len(matrix)) % 7
    booster = xgboost.train({"max_depth": 4, "nthread": 1}, xgboost.DMatrix(matrix, label > np.median(label)), 8)
    booster.save_model(bundle.folder / "model.ubj")
    return replace(bundle, encoder=encoder, scorer=lambda of: np.asarray(booster.inplace_predict(of)))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_new_rows_have_the_scores_and_decisions_of_the_bundle(task: str, tmp_path: Path) -> None:
    bundle = train(tmp_path, task=task).bundle
    difference, decisions = compare(bundle, onnx_bytes(bundle), rows(2_000, seed=5))
    assert difference < 2e-6 and decisions == 0


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda one: one["kind"])
def test_every_calibration_of_two_classes_is_in_the_file(calibration: dict[str, Any], tmp_path: Path) -> None:
    bundle = train(tmp_path, calibration=calibration).bundle
    difference, decisions = compare(bundle, onnx_bytes(bundle), rows(500, seed=6))
    assert difference < 2e-6 and decisions == 0


@pytest.mark.parametrize(
    "encoding",
    [
        Number(name="distance", kind="number", offset=1_000.0, centre=20.0, width=3.0, missing=-1.0, flagged=True),
        Number(name="distance", kind="number", log=True),
        Number(name="distance", kind="number", most=900.0),
        Number(name="distance", kind="number", knots=(100.0, 900.0, 2_000.0), quantiles=(-1.0, 0.0, 1.5), missing=0.0),
        Number(name="sched_dep_ts", kind="time", offset=15_700.0),
        Ordinal(name="carrier", kind="category", categories=("UA", "AA"), missing="UA"),
        Frequency(name="carrier", kind="category", categories=("UA", "AA"), shares=(0.5, 0.3), other=0.2, absent=0.1),
        OneHot(name="carrier", kind="category", categories=("UA", "AA", "DL")),
    ],
    ids=["scaled", "log", "bounded", "quantile", "time", "imputed", "frequency", "one_hot"],
)
def test_every_encoding_with_a_form_in_onnx_gives_the_same_scores(encoding: Any, tmp_path: Path) -> None:
    bundle = with_column(train(tmp_path), encoding)
    difference, decisions = compare(bundle, onnx_bytes(bundle), rows(500, seed=7))
    assert difference < 2e-6 and decisions == 0


def test_odd_values_have_the_scores_of_the_bundle(tmp_path: Path) -> None:
    bundle = train(tmp_path).bundle
    odd = pa.table(
        {
            "distance": pa.array([None, 0.0, -1e300, float("inf"), 1e40], pa.float64()),
            "carrier": pa.array([None, "UA", "never seen", "Ünï", "DL"]),
            "late": pa.array([None, True, False, None, True]),
            "sched_dep_ts": pa.array([None, 0, -(10**15), 10**16, 1], pa.timestamp("us")),
            "weather.temp": pa.array([None, float("nan"), 1e-300, -0.0, 50.0], pa.float64()),
            "weather.precip": pa.array([None, 0.0, 1.0, 2.0, float("-inf")], pa.float64()),
        }
    )
    difference, decisions = compare(bundle, onnx_bytes(bundle), odd)
    assert difference < 2e-6 and decisions == 0


def test_rows_with_an_empty_text_are_counted_and_not_compared(tmp_path: Path) -> None:
    encoding = Ordinal(name="carrier", kind="category", categories=("UA", "AA"), missing="UA")
    bundle = with_column(train(tmp_path), encoding)
    table = rows(500, seed=7)
    carriers = ["" if place % 5 == 0 else one for place, one in enumerate(table["carrier"].to_pylist())]
    found = compare_all(bundle, onnx_bytes(bundle), [table.set_column(1, "carrier", [carriers]), table])
    assert (found.rows, found.empty_texts) == (900, 100)
    assert found.largest < 2e-6 and found.decisions == 0


def test_native_categories_are_split_as_xgboost_splits_them(tmp_path: Path) -> None:
    trained = train(tmp_path)
    encoder = trained.bundle.encoder
    random = np.random.default_rng(3)
    matrix = encoder.apply(trained.rows)
    label = np.isin(matrix[:, 1], [2, 4]) ^ (random.random(len(matrix)) < 0.1)
    types = ["c" if codes else "q" for codes in encoder.cardinalities]
    data = xgboost.DMatrix(matrix, label, feature_types=types, enable_categorical=True)
    for one_hot in (1, 100):  # sets of categories, then one category each
        options = {"objective": "binary:logistic", "max_cat_to_onehot": one_hot, "max_depth": 4, "nthread": 1}
        booster = xgboost.train(options, data, 10)
        booster.save_model(trained.bundle.folder / "model.ubj")
        bundle = replace(trained.bundle, scorer=lambda of, by=booster: np.asarray(by.inplace_predict(of)))
        difference, decisions = compare(bundle, onnx_bytes(bundle), rows(1_000, seed=8))
        assert difference < 2e-6 and decisions == 0


def test_what_has_no_form_in_onnx_is_refused_by_name(tmp_path: Path) -> None:
    bundle = train(tmp_path).bundle
    with pytest.raises(SpecError, match="the family lightgbm cannot be exported to onnx; known: xgboost"):
        onnx_bytes(replace(bundle, model={**bundle.model, "family": "lightgbm"}))
    moment = Moment(name="sched_dep_ts", kind="time", parts=("hour",))
    others = tuple(moment if one.name == "sched_dep_ts" else one for one in bundle.encoder.encoded)
    with pytest.raises(SpecError, match="column 'sched_dep_ts' is encoded as moment"):
        onnx_bytes(replace(bundle, encoder=Trees(encoded=others)))
    empty = Ordinal(name="carrier", kind="category", categories=("UA", ""))
    others = tuple(empty if one.name == "carrier" else one for one in bundle.encoder.encoded)
    with pytest.raises(SpecError, match="has the empty text as a category"):
        onnx_bytes(replace(bundle, encoder=Trees(encoded=others)))
    trained = train(tmp_path / "three", task="multiclass", calibration={"kind": "temperature", "temperature": 2.0})
    with pytest.raises(SpecError, match="the calibration temperature of a multiclass model has no form in ONNX"):
        onnx_bytes(trained.bundle)


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    bundle = train(tmp_path).bundle
    assert onnx_bytes(bundle) == onnx_bytes(bundle)


SPEC = """\
name: numbers
task: binary
features: {labels: {path: rows.parquet, label: y > 0, key: id, columns: [a, b]}}
split: {by: random, stratify: true}
model: xgboost
"""


def test_the_rows_of_the_test_part_are_compared_where_they_can_be_read(tmp_path: Path) -> None:
    a, b = numbers(1_000, 2, seed=3).T
    rows = pa.table({"id": np.arange(1_000), "a": a, "b": b, "y": a})
    pq.write_table(rows, tmp_path / "rows.parquet")
    train_on_numbers(tmp_path, "binary", ("a", "b"), spec=SPEC)
    version = tmp_path / "version"
    shutil.copytree(tmp_path / "model", version / "artifacts" / "bundle")
    (version / "verification").mkdir()
    pq.write_table(rows.slice(0, 7), version / "verification" / "rows.parquet")
    registry: Any = SimpleNamespace(fetch=lambda _: version / "artifacts" / "bundle")

    read = export_onnx(registry, "numbers/1", tmp_path / "model.onnx")
    assert read["rows"] == read["test_rows"] + 7 and 100 < read["test_rows"] < 200 and read["not_compared"] is None
    other = export_onnx(registry, "numbers/1", tmp_path / "model.onnx", tmp_path / "rows.parquet")
    assert (other["rows"], other["test_rows"]) == (1_007, 0)
    csv = tmp_path / "rows.CSV"
    pacsv.write_csv(rows, csv)
    assert export_onnx(registry, "numbers/1", tmp_path / "model.onnx", csv)["rows"] == 1_007
    csv.write_text("a,b\n1,2\n3\n")
    for file, found in ((csv, "record 3 has 1"), (tmp_path / "no.parquet", "there is no such file")):
        with pytest.raises(DataError, match=found):
            export_onnx(registry, "numbers/1", tmp_path / "model.onnx", file)
    (tmp_path / "rows.parquet").unlink()
    gone = export_onnx(registry, "numbers/1", tmp_path / "model.onnx")
    assert (gone["rows"], gone["test_rows"]) == (7, 0) and "there is no such file" in gone["not_compared"]
