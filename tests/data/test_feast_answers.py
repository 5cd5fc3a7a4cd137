"""What Feast answers becomes feature tables or problems; a script answers in its place, so that no Feast is needed."""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.data.feast import PYTHON, with_feast_tables
from ray_pipeline.errors import DataError, SpecError
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

SPEC = """\
name: loans
task: binary
features:
  labels: {path: loans, label: loss > 0, key: id, time: asked}
  branches: {path: branches, on: [branch]}
  store: {path: store, kind: feast, views: [rates]}
split: {by: random}
model: xgboost
"""
VIEW = {
    "name": "rates",
    "view": "FeatureView",
    "source": "FileSource",
    "path": "data/rates.parquet",
    "format": "ParquetFormat",
    "endpoint": "",
    "renamed": {},
    "keys": ["branch"],
    "time": "hour",
    "created": "known",
    "ttl_s": 21_600.0,
    "features": ["rate"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/feature_store.yaml").write_text("project: loans\n")
    return tmp_path


def spec_with(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Any) -> Spec:
    """The spec, whose repository a script answers for; it prints the answer after a line of the library's own."""
    script = folder / "python"
    script.write_text(f"#!{sys.executable}\nprint('a warning of Feast')\nprint({json.dumps(answer)!r})\n")
    script.chmod(0o755)
    monkeypatch.setenv(PYTHON, str(script))
    return Spec.from_text(SPEC, file="loans.yaml", folder=folder)


def test_a_view_becomes_the_table_that_one_would_have_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = with_feast_tables(spec_with(folder, monkeypatch, {"views": [VIEW]}), Where())
    table = spec.features.tables["rates"]
    assert (table.path, table.kind) == (str(folder / "store/data/rates.parquet"), "parquet")
    assert (table.on, table.columns) == (("branch",), ("rate",))
    assert (table.time, table.known_at, table.max_age) == ("hour", "known", timedelta(hours=6))
    assert not spec.features.repositories and with_feast_tables(spec, Where()) is spec


def test_a_uri_an_absent_created_column_and_no_ttl_are_kept_as_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = {**VIEW, "path": "s3://tables/rates", "format": "DeltaFormat", "created": "", "ttl_s": 0}
    table = with_feast_tables(spec_with(folder, monkeypatch, {"views": [view]}), Where()).features.tables["rates"]
    assert (table.path, table.kind, table.known_at, table.max_age) == ("s3://tables/rates", "delta", None, None)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"source": "NoneType", "view": "OnDemandFeatureView"}, "is computed on demand (OnDemandFeatureView)"),
        ({"source": "BigQuerySource"}, "has a BigQuerySource; only files are read"),
        ({"format": "AvroFormat"}, "has files of AvroFormat"),
        ({"endpoint": "http://localhost"}, "sets s3_endpoint_override"),
        ({"renamed": {"hour": "moment"}}, "renames 'hour' to 'moment'"),
        ({"keys": ["__dummy_id"]}, "has no entity to join on"),
        ({"name": "branches"}, "has the name of another table"),
    ],
)
def test_a_view_that_cannot_be_read_is_a_problem_with_its_place(
    changes: dict[str, Any], found: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**VIEW, "name": "other", "keys": []}
    with pytest.raises(DataError) as raised:
        with_feast_tables(spec_with(folder, monkeypatch, {"views": [{**VIEW, **changes}, VIEW, other]}), Where())
    first, second = raised.value.problems
    assert first.found == f"feature view {changes.get('name', 'rates')!r} {found}" and first.fix
    assert second.found == "feature view 'other' has no entity to join on"
    assert (first.key, first.line) == ("features.store", 6)


@pytest.mark.parametrize(
    ("answer", "error", "found"),
    [
        (
            {"error": "there is no feature view 'rates'", "known": ["rate", "other"]},
            DataError,
            "there is no feature view 'rates'; did you mean 'rate'? Known: rate, other",
        ),
        ({"error": "no registry", "known": []}, DataError, "Feast cannot read the registry: no registry"),
        ({"error": "ImportError: No module named 'feast'", "known": []}, SpecError, "has no Feast"),
    ],
)
def test_an_error_of_feast_is_a_problem(
    answer: dict[str, Any], error: type[Exception], found: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(error) as raised:
        with_feast_tables(spec_with(folder, monkeypatch, answer), Where())
    assert found in str(raised.value) and "Fix: " in str(raised.value)
