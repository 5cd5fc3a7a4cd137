"""What `resume` refuses before any work: an edited spec, another format, a run that another process works on."""

import json
import os
import shutil
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from run_fixture import Told, run_at
from storage_fixture import workers
from tables import SPEC
from typer.testing import CliRunner

from ray_pipeline import pipeline
from ray_pipeline.cli import build
from ray_pipeline.errors import DataError, ResourceError, SpecError, StorageError
from ray_pipeline.resuming import resume
from ray_pipeline.runs.reproducibility import FORMAT
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    """A run that was cut off right after its beginning."""
    run = run_at(tmp_path / "runs", Spec.from_text(SPEC, file="loans.yaml", folder=tmp_path))
    run.begin()
    return run.folder


def edit(folder: RunFolder, old: str, new: str) -> None:
    path = folder.path / "spec.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def resumed(folder: RunFolder) -> None:
    resume(RunFolder.open(folder.storage, folder.run))


def test_the_journal_holds_the_hash_of_the_whole_stored_spec(begun: RunFolder) -> None:
    entry = begun.journal.recorded("begin")
    assert entry is not None
    assert entry["spec_sha256"] == sha256((begun.path / "spec.yaml").read_bytes()).hexdigest()
    assert entry["format"] == FORMAT


def planted(folder: RunFolder, **keys: object) -> None:
    """Writes keys of a cluster file into the journal of a run, together with its hash."""
    entry = folder.journal.recorded("begin")
    assert entry is not None
    folder.journal.record("begin", {**entry, "where": {**entry["where"], **keys}})


@pytest.mark.parametrize("keys", [{"trust": ["planted"]}, {"trust_keys": ["/tmp/planted.pub"]}])
def test_packages_and_keys_to_trust_are_never_taken_from_a_run_folder(
    begun: RunFolder, keys: dict[str, list[str]]
) -> None:
    planted(begun, **keys)
    with pytest.raises(SpecError, match="never taken from a run folder") as refused:
        resumed(begun)
    (problem,) = refused.value.problems
    assert problem.key == "--on" and f"`{next(iter(keys))}`" in problem.found
    assert f"ray-pipeline resume {begun.run} --on FILE" in problem.fix


def test_what_the_run_folder_says_of_the_cluster_is_told(begun: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(begun, registry="sqlite:////elsewhere/mlflow.db")
    used, told = [], Told()
    monkeypatch.setattr(pipeline, "run", lambda spec, where, **_: used.append(where))
    resume(RunFolder.open(begun.storage, begun.run), progress=told)
    assert used[0].registry == "sqlite:////elsewhere/mlflow.db"
    assert any("from the run folder: address local, registry sqlite:////elsewhere" in line for line in told.notes)
    cluster = Where(registry="sqlite:////mine/mlflow.db", trust=("mine",), trust_keys=("/mine.pub",))
    resume(RunFolder.open(begun.storage, begun.run), cluster, progress=told)
    assert (used[1].registry, used[1].trust, used[1].trust_keys) == (cluster.registry, ("mine",), ("/mine.pub",))


@pytest.mark.parametrize(
    ("edits", "keys"),
    [
        ([("auc >= 0.6", "auc >= 0.1")], "gates"),
        ([("alias: challenger", "alias: champion")], "register"),
        ([("auc >= 0.6", "auc >= 0.1"), ("trials: 6", "trials: 1")], "gates, search"),
    ],
    ids=["a loosened gate", "another alias", "two keys"],
)
def test_an_edited_spec_is_refused_and_the_changed_keys_are_named(
    begun: RunFolder, edits: list[tuple[str, str]], keys: str
) -> None:
    for old, new in edits:
        edit(begun, old, new)
    with pytest.raises(DataError) as refused:
        resumed(begun)
    (problem,) = refused.value.problems
    assert (refused.value.exit_code, problem.file) == (3, str(begun.path / "spec.yaml"))
    assert problem.found == f"the stored spec is not the one that the run began with: the keys {keys} differ"
    assert problem.fix == "restore the file, or start a new run"


@pytest.mark.parametrize("text", ["# a comment\n{}", "name: [loans", "\ufeff{}"])
def test_any_other_byte_in_the_stored_spec_is_refused(begun: RunFolder, text: str) -> None:
    path = begun.path / "spec.yaml"
    path.write_text(text.format(path.read_text()) if "{}" in text else text)
    with pytest.raises(DataError, match=r"the stored spec is not the one .*: its text differs"):
        resumed(begun)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="its text differs"):
        resumed(begun)


def test_the_command_line_refuses_a_loosened_gate_with_exit_3(begun: RunFolder) -> None:
    edit(begun, "auc >= 0.6", "auc >= 0.1")
    answered = CliRunner().invoke(build(), ["resume", str(begun.path), "--json"])
    answer = json.loads(answered.stdout.splitlines()[-1])
    assert (answered.exit_code, answer["exit"], answer["status"]) == (3, 3, "error")
    assert "the keys gates differ" in answer["problems"][0]["found"]


@pytest.mark.parametrize("written", [None, 1, FORMAT + 1])
def test_a_run_folder_of_another_format_is_refused(begun: RunFolder, written: int | None) -> None:
    entry = dict(begun.journal.recorded("begin") or {})
    entry |= {"format": written}
    begun.journal.record("begin", {key: value for key, value in entry.items() if value is not None})
    with pytest.raises(StorageError, match=f"the run folder has format {written or 1}; this version goes on with 2"):
        resumed(begun)


def test_another_cluster_file_without_a_data_root_keeps_the_root_that_the_run_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_at(tmp_path / "runs", Spec.from_text(SPEC, file="loans.yaml", folder=tmp_path))
    run.where = run.where.model_copy(update={"data": str(tmp_path / "tables")})
    run.begin()
    asked = list[Where]()
    monkeypatch.setattr(pipeline, "run", lambda spec, where, **_: asked.append(where))
    resume(run.folder, Where(address="auto"))
    resume(run.folder, Where(address="auto", data="s3://elsewhere"))
    assert [where.resolve("loans", tmp_path / "job") for where in asked] == [
        str(tmp_path / "tables" / "loans"),
        "s3://elsewhere/loans",
    ]
    assert {(where.address, where.storage) for where in asked} == {("auto", run.folder.storage)}


def test_a_run_without_a_beginning_is_refused(begun: RunFolder) -> None:
    (begun.path / "journal" / "begin.json").unlink()
    with pytest.raises(StorageError, match="the run has no journal to go on from") as refused:
        resumed(begun)
    assert refused.value.exit_code == 6


def test_a_run_that_another_process_works_on_is_refused_within_two_seconds_with_its_owner(begun: RunFolder) -> None:
    with workers(1, begun.storage) as (holder,):
        assert holder.ask("take", f"{begun.run}/journal/lease") == "held"
        began = time.monotonic()
        with pytest.raises(ResourceError) as refused:
            resumed(begun)
        assert time.monotonic() - began < 2
        (problem,) = refused.value.problems
        assert refused.value.exit_code == 4
        assert f"process {holder.process.pid} on {os.uname().nodename} since " in problem.found
        since = datetime.fromisoformat(problem.found.rpartition(" since ")[2])
        assert 0 <= (datetime.now(UTC) - since).total_seconds() < 120
        holder.kill()
        began, told = time.monotonic(), Told()
        with begun.lease(told.note):
            assert time.monotonic() - began < 2 and told.notes == []


def test_a_run_that_is_refused_keeps_its_journal_as_it_was(begun: RunFolder) -> None:
    before = {path.name: path.read_bytes() for path in begun.path.rglob("*.json")}
    with begun.lease(lambda _: None), pytest.raises(ResourceError):
        resumed(begun)
    assert {path.name: path.read_bytes() for path in begun.path.rglob("*.json")} == before


def test_whoever_lost_the_lease_writes_no_more(begun: RunFolder) -> None:
    with begun.lease(lambda _: None):
        begun.write("checks.json", "[]")
        (begun.path / "journal" / "lease").unlink()  # by hand: another process may lock a new one
        with pytest.raises(ResourceError, match="this process has lost the lease"):
            begun.write("checks.json", "[1]")
    assert (begun.path / "checks.json").read_text() == "[]"


@pytest.mark.ray
def test_a_run_cut_off_before_its_manifest_answers_without_working(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(complete, tmp_path / "cut")
    (tmp_path / "cut" / "manifest.json").unlink()
    monkeypatch.setattr(pipeline, "run", None)
    answer = resume(RunFolder.open(tmp_path, "cut")).as_json()
    assert answer["status"] == "unregistered"
    assert (tmp_path / "cut" / "manifest.json").read_bytes() == (complete / "manifest.json").read_bytes()
