"""A run built again from its manifest: the same bytes at every stage, or the first stage that differs, and why."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tables import write_spec
from typer.testing import CliRunner

from ray_pipeline.cli import build
from ray_pipeline.data.fingerprint import Fingerprint, changes, hash_columns
from ray_pipeline.errors import DataError, ResourceError, StorageError
from ray_pipeline.resuming import rerun
from ray_pipeline.runs.reproducibility import assert_same_data, plan_layout
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

pytestmark = pytest.mark.ray
STAGES = ["read", "split", "encoder", "trials", "model", "predictions", "metrics"]


@pytest.fixture
def moved(complete, tmp_path) -> tuple[Path, Where]:
    """The manifest and the tables on another machine, where the spec's folder is unknown."""
    told = json.loads((complete / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**told, "base": "/nowhere"}))
    shutil.copytree(complete.parent.parent / "data", tmp_path / "tables" / "data")
    (tmp_path / "there.yaml").write_text(f"data: {tmp_path / 'tables'}\nstorage: {tmp_path / 'runs'}\n")
    return tmp_path / "manifest.json", Where.from_file(tmp_path / "there.yaml")


@pytest.mark.slow
def test_a_manifest_alone_gives_the_same_bytes_on_another_machine(moved, complete):
    manifest, there = moved
    told = rerun(str(manifest), there, verify=True)
    assert (told["status"], told["exit"], told["differs"], told["same"]) == ("identical", 0, None, STAGES)
    again = manifest.parent / "runs" / told["rerun"]
    for name in (
        "model/encoder.json",
        "model/model.ubj",
        "model/calibration.json",
        "evaluation.json",
        "bias.json",
        "predictions/test.parquet",
    ):
        assert (again / name).read_bytes() == (complete / name).read_bytes(), name
    assert not (manifest.parent / "runs" / "mlflow.db").exists()  # a rerun registers nothing


def test_changed_data_is_told_by_file_and_column_before_anything_is_trained(moved):
    manifest, _there = moved
    file = manifest.parent / "tables/data/loans/part-1.parquet"
    table = pq.read_table(file)
    amount = table["amount"].to_pylist()
    amount[17] = amount[18]  # rows, bytes, minimum and maximum stay
    pq.write_table(table.set_column(table.column_names.index("amount"), "amount", [amount]), file, row_group_size=1000)
    answered = CliRunner().invoke(
        build(), ["rerun", str(manifest), "--verify", "--on", str(manifest.parent / "there.yaml"), "--json"]
    )
    told = json.loads(answered.stdout.splitlines()[-1])
    assert (answered.exit_code, told["status"], told["exit"], told["differs"], told["same"]) == (
        3,
        "different",
        3,
        "read",
        [],
    )
    (problem,) = told["problems"]
    assert (problem["stage"], problem["key"]) == ("read", "features.labels")
    assert (
        "1 of 3 files changed (part-1.parquet), 1 of" in problem["found"]
        and "columns changed (amount)" in problem["found"]
    )


def test_a_stage_that_differs_is_named_with_the_versions_that_changed(moved):
    manifest, there = moved
    told = json.loads(manifest.read_text())
    told["digests"]["encoder"], told["versions"] = "0" * 64, {**told["versions"], "xgboost": "3.1.0"}
    manifest.write_text(json.dumps(told))
    with pytest.raises(
        DataError, match=r"encoder differs from what run \S+ made .* versions changed: xgboost 3.1.0 -> "
    ) as differs:
        rerun(str(manifest), there, verify=True)
    assert differs.value.answer["differs"] == "encoder"
    assert differs.value.answer["same"] == ["split"]


def test_a_run_that_is_not_complete_cannot_be_built_again(complete, tmp_path):
    shutil.copytree(complete, tmp_path / "runs" / "cut")
    (tmp_path / "runs/cut/manifest.json").unlink()
    with pytest.raises(StorageError, match="there is no manifest"):
        rerun("cut", Where(storage=str(tmp_path / "runs")), verify=True)
    (tmp_path / "runs/cut/manifest.json").write_text('{"run": "cut"}')
    with pytest.raises(StorageError, match="does not say fingerprint, spec"):
        rerun("cut", Where(storage=str(tmp_path / "runs")), verify=True)


def test_a_resumed_run_refuses_other_data_and_keeps_its_threads(tmp_path, loans, ray_local):
    journal = RunFolder.create(tmp_path, "loans", "0" * 64).journal
    first = {"labels": Fingerprint(files={"a.parquet": "1", "b.parquet": "2"}, columns={"x": "3"}).as_json()}
    assert_same_data(journal, first)
    assert_same_data(journal, first)
    with pytest.raises(
        DataError, match=r"not what this run, before it was interrupted, read: 1 of 2 files removed|1 of 1 files"
    ):
        assert_same_data(journal, {"labels": Fingerprint(files={"a.parquet": "1"}, columns={"x": "4"}).as_json()})
    journal.record("layout", {"slots": 2, "workers": 1, "threads": 1, "gpus": 0, "fit_threads": 64})
    with pytest.raises(ResourceError, match="fits its model with 64 threads, and a worker here gets at most 2"):
        plan_layout(journal, Where(), Spec.from_file(write_spec(loans, "threads.yaml")), print)


def test_a_fingerprint_says_what_changed_and_is_of_the_named_columns_alone(loans, tmp_path):
    file = tmp_path / "loans.parquet"
    whole = pq.read_table(loans / "data/loans/part-0.parquet")
    pq.write_table(whole, file)
    before = hash_columns(str(file), str(file), ("amount", "purpose", "hive"))
    assert set(before) == {"amount", "purpose"}
    pq.write_table(whole.set_column(whole.column_names.index("sex"), "sex", whole["purpose"]), file)
    assert hash_columns(str(file), str(file), ("amount", "purpose", "hive")) == before
    (tmp_path / "loans.csv").write_text("amount\n1\n")
    assert set(hash_columns(str(tmp_path / "loans.csv"), str(tmp_path / "loans.csv"), ("amount",))) == {"*"}
    old = Fingerprint(files={"a": "1", "b": "2"}, columns={"x": "1"}).as_json()
    assert (
        changes(old, Fingerprint(files={"a": "1", "c": "2"}, columns={"x": "1"}).as_json())
        == "1 of 2 files added (c), 1 of 2 files removed (b)"
    )
    assert changes(old, old) == ""
