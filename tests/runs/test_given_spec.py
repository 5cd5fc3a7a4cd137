"""A run takes a spec, a file or a mapping; tables in a mapping are stored by the SHA-256 of their content."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from tables import SPEC, write_spec

from ray_pipeline.errors import DataError, SpecError
from ray_pipeline.runs.given_spec import given_spec, given_where
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

FRAME = {"id": [1, 2, 3], "x": [0.5, None, 1.5], "label": [0, 1, 0]}


def written(path: Any, **tables: Any) -> dict[str, Any]:
    """A small spec with that label table."""
    features = {"labels": {"path": path, "label": "label", "key": "id"}, **tables}
    return {"name": "small", "task": "binary", "features": features, "split": {"by": "random"}, "model": "xgboost"}


def test_a_mapping_is_the_same_spec_as_its_file(tmp_path: Path) -> None:
    content = YAML(typ="safe", pure=True).load(SPEC)
    content["split"] |= {"validation": dt.date(2024, 1, 18), "test": dt.date(2024, 1, 24)}
    content["features"]["labels"]["path"] = Path("data/loans")
    given, file = given_spec(content, Where()), given_spec(write_spec(tmp_path), Where())
    assert given == file == Spec.from_text(SPEC) and given.fingerprint == file.fingerprint
    assert (given.folder, file.folder) == (Path.cwd(), tmp_path)


def test_a_spec_and_a_cluster_file_are_taken_as_they_are(tmp_path: Path) -> None:
    spec, where = Spec.from_text(SPEC), Where(storage=str(tmp_path))
    assert given_spec(spec, where) is spec and given_where(where, spec) is where
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster/two.yaml").write_text("concurrent_trials: 2\n")
    for named in ("two", tmp_path / "cluster/two.yaml"):
        assert given_where(named, tmp_path / "loans.yaml").concurrent_trials == 2
    assert given_where(None, SPEC) == Where()


def test_problems_of_a_mapping_name_their_keys() -> None:
    with pytest.raises(SpecError) as told:
        given_spec({**written("a.parquet"), "model": "xgbost", "gates": ["auc > "]}, Where())
    assert [problem.key for problem in told.value.problems] == ["model.xgbost", "gates[0]"]
    assert "did you mean 'xgboost'?" in str(told.value) and told.value.problems[0].file == "spec"
    with pytest.raises(SpecError, match="the key 3 is not text"):
        given_spec({**written("a.parquet"), "encode": {3: {"impute": "median"}}}, Where())


def test_the_same_table_gives_the_same_identity_in_any_storage_and_library(tmp_path: Path) -> None:
    tables = [pd.DataFrame(FRAME), pl.DataFrame(FRAME), pa.table(FRAME)]
    specs = [given_spec(written(t), Where(storage=str(tmp_path / name))) for t, name in zip(tables, "aba", strict=True)]
    assert len({spec.fingerprint for spec in specs}) == 1
    assert [len([*(tmp_path / name).rglob("*.parquet")]) for name in "ab"] == [1, 1]
    stored = Where().resolve(specs[0].features.labels.path, specs[0].folder)
    assert Path(stored).parent == tmp_path / "a" / ".tables" and pq.read_table(stored).to_pydict() == FRAME
    assert pq.read_schema(stored).metadata is None
    other = given_spec(written(pd.DataFrame(FRAME | {"label": [0, 1, 1]})), Where(storage=str(tmp_path / "a")))
    assert other.fingerprint != specs[0].fingerprint


def test_a_stored_table_is_not_written_again(tmp_path: Path) -> None:
    where = Where(storage=str(tmp_path))
    given_spec(written(pa.table(FRAME)), where)
    (file,) = tmp_path.rglob("*.parquet")
    before = file.stat()
    given_spec(written(pa.table(FRAME)), where)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_paths_beside_a_table_mean_what_they_mean_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACE", "/data")
    paths = {"a": "data/a.parquet", "b": "/data/b.parquet", "c": "s3://bucket/c", "d": "${env:PLACE}/d", "e": "~/e"}
    others = {name: {"path": path, "on": ["id"]} for name, path in paths.items()}
    where = Where(storage="runs/here")
    spec, plain = given_spec(written(pa.table(FRAME), **others), where), given_spec(written("x", **others), where)
    assert spec.features.tables["a"].path == "../../data/a.parquet"
    for name in paths:
        ends = [where.resolve(one.features.tables[name].path, one.folder) for one in (spec, plain)]
        assert ends[0] == ends[1], name


def test_a_table_has_its_own_address_where_data_has_a_root(tmp_path: Path) -> None:
    where = Where(storage=str(tmp_path / "runs"), data=str(tmp_path / "data"))
    spec = given_spec(written(pa.table(FRAME), other={"path": "b.parquet", "on": ["id"]}), where)
    assert spec.features.tables["other"].path == "b.parquet"
    labels = where.resolve(spec.features.labels.path, spec.folder)
    assert Path(labels).is_relative_to(tmp_path / "runs") and pq.read_table(labels).num_rows == 3


def test_a_table_that_cannot_be_stored_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels: the Table cannot be written as Parquet"):
        given_spec(written(pa.table({"x": pa.array([{}], pa.struct([]))})), Where(storage=str(tmp_path)))
    assert [*tmp_path.rglob("*.parquet")] == []


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_on_tables_is_registered_and_its_spec_is_read_again(
    ray_local: None, loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray_pipeline import pipeline
    from ray_pipeline.registered_model import predict_rows

    monkeypatch.chdir(tmp_path)
    shutil.copytree(loans / "data", tmp_path / "data")
    content = YAML(typ="safe", pure=True).load(SPEC)
    content["search"]["trials"] = 2
    content["features"]["labels"]["path"] = pl.read_parquet("data/loans/*.parquet")
    content["features"]["rates"]["path"] = pd.read_parquet("data/rates.parquet")
    release = pipeline.run(content)
    assert release.status == "registered" and release.rows["test"] > 0
    again = Spec.from_file(Path(release.folder) / "spec.yaml")
    assert again.fingerprint == given_spec(content, Where()).fingerprint
    scored = predict_rows("loans/1", "data/loans", tmp_path / "scores.parquet", Where(), None)
    assert scored["rows"] == 6_000
