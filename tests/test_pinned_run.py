"""Whole runs on tables that change: a query and a Delta table as of a moment; run again after both have changed."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline import pipeline
from ray_pipeline.registered_model import predict_rows
from ray_pipeline.resuming import rerun
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROWS = 600
SPEC = """\
name: pinned
task: binary
features:
  labels: {{kind: sql, url: "sqlite:///loans.db", query: SELECT * FROM loans, label: bad == 1, key: id}}
  branches: {{kind: sql, url: "sqlite:///loans.db", query: SELECT * FROM branches, "on": branch}}
  rates: {{path: rates, kind: delta, as_of: '{moment}', "on": branch}}
split: {{by: random}}
model: {{xgboost: {{num_boost_round: 10, max_depth: 3}}}}
search: {{trials: 2}}
evaluate: {{draws: 100}}
"""


def write_database(folder: Path, shift: float) -> None:
    rng = np.random.default_rng(0)
    amount, branch = rng.normal(size=ROWS), rng.integers(0, 5, ROWS)
    bad = (amount + branch / 2 + rng.normal(size=ROWS) > 1).astype(int)
    with closing(sqlite3.connect(folder / "loans.db")) as connection:
        connection.execute("DROP TABLE IF EXISTS loans")
        connection.execute("DROP TABLE IF EXISTS branches")
        connection.execute("CREATE TABLE loans (id INTEGER, amount REAL, branch INTEGER, bad INTEGER)")
        connection.execute("CREATE TABLE branches (branch INTEGER, size REAL)")
        rows = zip(range(ROWS), (amount + shift).tolist(), branch.tolist(), bad.tolist(), strict=True)
        connection.executemany("INSERT INTO loans VALUES (?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO branches VALUES (?, ?)", [(one, one / 2 + 10 * shift) for one in range(5)])
        connection.commit()


def test_a_run_is_repeated_byte_for_byte_after_its_tables_have_changed(ray_local: None, tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    at = Where(storage=str(tmp_path / "runs"))
    write_database(tmp_path, 0.0)
    rates = pa.table({"branch": pa.array(range(5), pa.int64()), "rate": [0.1, 0.2, 0.3, 0.4, 0.5]})
    deltalake.write_deltalake(str(tmp_path / "rates"), rates)
    moment = datetime.now(UTC).isoformat()
    release = pipeline.run(Spec.from_text(SPEC.format(moment=moment), folder=tmp_path), at)
    assert release.status == "registered"
    folder = Path(release.folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {name: one["rows"] for name, one in manifest["queries"].items()} == {"labels": ROWS, "branches": 5}
    assert manifest["queries"]["labels"]["query"] == "SELECT * FROM loans"
    assert "version: 0" in manifest["spec"] and "as_of" not in manifest["spec"]
    assert pq.read_table(folder / "tables/labels").num_rows == ROWS

    loans = pq.read_table(folder / "tables/labels")
    pq.write_table(loans.drop_columns("bad"), tmp_path / "new.parquet")
    before, after = (tmp_path / name for name in ("before.parquet", "after.parquet"))
    predict_rows("pinned/1", tmp_path / "new.parquet", before, at)
    write_database(tmp_path, 5.0)
    deltalake.write_deltalake(str(tmp_path / "rates"), rates.slice(0, 2), mode="overwrite")
    answer = rerun(release.run, at, verify=True)
    assert (answer["status"], answer["same"][0]) == ("identical", "read")
    assert {"split", "encoder", "trials", "model", "predictions", "metrics"} <= set(answer["same"])

    predict_rows("pinned/1", tmp_path / "new.parquet", after, at)
    assert not pq.read_table(before).equals(pq.read_table(after)), "predict reads the feature query of today"
    assert not list((tmp_path / "runs").glob(".queries/*/*"))
