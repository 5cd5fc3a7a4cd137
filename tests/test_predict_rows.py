"""`predict` in this process: intervals and drift of the rows, and the query of a feature table as it answers now."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from part_fixture import regression
from serving_fixture import numbers, train_on_numbers

from ray_pipeline import registered_model
from ray_pipeline.conformal import Calibration
from ray_pipeline.errors import DataError, SpecError
from ray_pipeline.evaluation.score_drift import score_histograms
from ray_pipeline.profiling import drift
from ray_pipeline.registered_model import predict_rows
from ray_pipeline.serving import LoadedModel
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

SPEC = """\
name: known
task: regression
features:
  labels: {path: rows.parquet, label: y, key: id}
  t: {kind: sql, url: "sqlite:///t.db", query: SELECT * FROM t, "on": branch, path: /gone/tables/t}
split: {by: random}
model: xgboost
intervals: {coverage: 0.9}
"""
ROWS = 400


def write_query(folder: Path, value: float) -> None:
    with closing(sqlite3.connect(folder / "t.db")) as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute("CREATE TABLE t (branch INTEGER, c REAL)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(branch, branch + value) for branch in range(4)])
        connection.commit()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """A registered model of two columns of the rows and one of a query."""
    calibration = Calibration(coverage=0.9, quantile=1.5, by_quantiles=False, rows=100, crossed=0)
    made = train_on_numbers(tmp_path, "regression", ("a", "b", "t.c"), spec=SPEC, intervals=calibration)
    a, b, _ = numbers(ROWS, 3, seed=4).T
    rows = pa.table({"id": np.arange(ROWS), "branch": np.arange(ROWS) % 4, "a": a, "b": b})
    pq.write_table(rows, tmp_path / "rows.parquet")
    write_query(tmp_path, 0.0)
    sample = rows.append_column("t.c", pa.array(np.arange(ROWS) % 4.0))
    shapes = drift.to_json(drift.histograms(sample, ["a", "b", "t.c"]))
    test = replace(regression(0, ROWS), score=made.score(sample))
    scores = drift.to_json(score_histograms(test))
    known = SimpleNamespace(file=lambda _, name: {"training.json": shapes, "scores.json": scores}[name])
    spec = Spec.from_text(SPEC, folder=tmp_path)
    monkeypatch.setattr(registered_model, "_fetched", lambda *_: (known, made, spec))
    return made


def predicted(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    where = Where(storage=str(folder / "runs"))
    return predict_rows("known/1", folder / "rows.parquet", folder / name, where, **more)


def test_the_query_of_a_feature_table_is_asked_now_and_its_rows_are_removed(model: LoadedModel, tmp_path: Path) -> None:
    predicted(tmp_path, "before.parquet")
    write_query(tmp_path, -9.0)
    predicted(tmp_path, "after.csv")
    before, after = pq.read_table(tmp_path / "before.parquet"), pacsv.read_csv(tmp_path / "after.csv")
    assert before.column_names == after.column_names == ["id", "score", "decision", "low", "high"]
    assert not np.allclose(before["score"], after["score"])
    np.testing.assert_allclose(np.asarray(before["high"]) - np.asarray(before["low"]), 3.0)
    rows = pq.read_table(tmp_path / "rows.parquet")
    joined = rows.append_column("t.c", pa.array(np.arange(ROWS) % 4 - 9.0))
    np.testing.assert_allclose(after["score"], model.score(joined))
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


def test_rows_without_the_key_are_scored_in_their_order(model: LoadedModel, tmp_path: Path) -> None:
    assert predicted(tmp_path, "keyed.parquet")["key"] == "id"
    rows = pq.read_table(tmp_path / "rows.parquet")
    pq.write_table(rows.drop_columns(["id"]), tmp_path / "rows.parquet")
    assert predicted(tmp_path, "plain.parquet")["key"] is None
    keyed, plain = pq.read_table(tmp_path / "keyed.parquet"), pq.read_table(tmp_path / "plain.parquet")
    assert plain.equals(keyed.drop_columns(["id"]))
    pq.write_table(rows.drop_columns(["branch"]), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="branch"):  # what a table is joined on is needed
        predicted(tmp_path, "refused.parquet")


def test_the_rows_themselves_are_never_overwritten(model: LoadedModel, tmp_path: Path) -> None:
    before = pq.read_table(tmp_path / "rows.parquet")
    with pytest.raises(SpecError, match=r"--out: .* is a file of --rows, and would be lost"):
        predicted(tmp_path, "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").equals(before)


def test_drift_is_measured_while_the_rows_are_scored(model: LoadedModel, tmp_path: Path) -> None:
    same = predicted(tmp_path, "same.parquet", drift=True)
    assert [row["severity"] for row in (*same["drift"], *same["score_drift"])] == [None] * 4
    write_query(tmp_path, -9.0)
    moved = predicted(tmp_path, "moved.parquet", drift=True)
    assert moved["drift"][0] == {**moved["drift"][0], "column": "t.c", "severity": "medium"}
    assert moved["score_drift"][0]["severity"] == "medium" and moved["rows"] == ROWS
    plain = predicted(tmp_path, "plain.parquet")
    assert "drift" not in plain
    assert pq.read_table(tmp_path / "plain.parquet").equals(pq.read_table(tmp_path / "moved.parquet"))


def test_a_plain_file_is_scored_by_a_model_of_a_dialect_unless_its_numbers_are_texts(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pq.read_table(tmp_path / "rows.parquet")
    as_stored = predicted(tmp_path, "stored.parquet")
    known, made, _ = registered_model._fetched("known/1", Where(), None, False)
    dialect = "path: rows.csv, kind: csv, delimiter: ';', decimal: ',', skip_rows: 1"
    spec = Spec.from_text(SPEC.replace("path: rows.parquet", dialect), folder=tmp_path)
    monkeypatch.setattr(registered_model, "_fetched", lambda *_: (known, made, spec))
    pacsv.write_csv(rows, tmp_path / "rows.csv")
    where = Where(storage=str(tmp_path / "runs"))
    answer = predict_rows("known/1", tmp_path / "rows.csv", tmp_path / "plain.parquet", where)
    assert answer["layout"].startswith("read with delimiter ',', decimal '.', skip_rows 0;") and not as_stored["layout"]
    assert pq.read_table(tmp_path / "plain.parquet").equals(pq.read_table(tmp_path / "stored.parquet"))
    commas = pa.array([f"{value:.3f}".replace(".", ",") for value in rows["a"].to_pylist()])
    pacsv.write_csv(rows.set_column(rows.column_names.index("a"), "a", commas), tmp_path / "rows.csv")
    with pytest.raises(DataError, match="the model was trained on a number"):
        predict_rows("known/1", tmp_path / "rows.csv", tmp_path / "commas.parquet", where)
