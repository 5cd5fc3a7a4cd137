"""Runs and tables in an object store: a real S3 server on loopback, journal as objects, manifest last, no secret
anywhere."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from s3_fixture import SECRET
from tables import write_spec
from typer.testing import CliRunner

from ray_pipeline.cli import build
from ray_pipeline.errors import StorageError
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.storage.blob_store import BlobStore

FINGERPRINT = "0123456789abcdef"


def test_a_store_that_does_not_answer_or_has_no_such_bucket_is_told(
    bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match="the object store answers") as told:
        RunFolder.create("s3://no-such-bucket/runs", "loans", FINGERPRINT)
    assert (told.value.exit_code, told.value.problems[0].key) == (6, "storage")
    assert SECRET not in str(told.value)


def test_creators_at_the_same_time_get_different_numbers(bucket: dict[str, str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: RunFolder.create("s3://runs/many", "loans", FINGERPRINT).run, range(6)))
    assert len(set(runs)) == 6
    assert all(run.startswith("loans-01234567-") for run in runs)


def test_a_run_is_opened_elsewhere_with_all_that_was_written(bucket: dict[str, str]) -> None:
    here = RunFolder.create("s3://runs/opened", "loans", FINGERPRINT)
    here.write("spec.yaml", "name: loans\n")
    here.journal.record("profile", {"rows": 12})
    (here.path / "model").mkdir()
    (here.path / "model" / "model.ubj").write_bytes(b"trees")
    here.upload("model")
    assert here.address == f"s3://runs/opened/{here.run}"
    for name in (("s3://runs/opened", here.run), ("./runs", here.address)):
        there = RunFolder.open(*name)
        assert (
            there.path != here.path
            and there.journal.recorded("profile") == {"rows": 12}
            and (there.path / "model/model.ubj").read_bytes() == b"trees"
        )
        assert there.siblings("profile") == [{"rows": 12}]
    here.remove("model")
    assert not BlobStore("s3://runs/opened").keys(f"{here.run}/model")
    with pytest.raises(StorageError, match=f"did you mean '{here.run}'"):
        RunFolder.open("s3://runs/opened", "loans-01234567-9")


def test_report_and_diff_of_runs_at_a_uri(
    bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for _ in range(2):
        run = RunFolder.create("s3://runs/told", "loans", FINGERPRINT)
        run.write("spec.yaml", "name: loans\n")
        runs.append(run)
    monkeypatch.chdir(tmp_path)
    for words in ([runs[0].address], [runs[0].run, "--storage", "s3://runs/told"]):
        told = CliRunner().invoke(build(), ["report", *words])
        assert (told.exit_code, told.stdout.strip()) == (0, f"{runs[0].address}/report.html"), told.stderr
        assert b"loans" in BlobStore("s3://runs/told").read(f"{runs[0].run}/report.html")
        BlobStore("s3://runs/told").remove(f"{runs[0].run}/report.html")
    told = CliRunner().invoke(build(), ["diff", *(run.address for run in runs)])
    page = f"diff-{runs[0].run}-{runs[1].run}.html"
    assert told.exit_code == 0 and told.stdout.splitlines()[-1] == page and (tmp_path / page).is_file(), told.stderr


@pytest.mark.long
def test_a_whole_run_lives_in_the_object_store_and_is_resumed_from_there(
    bucket: dict[str, str], loans: Path, tmp_path: Path
) -> None:
    spec, store = write_spec(loans, "s3.yaml", trials="trials: 6 => trials: 4"), BlobStore("s3://runs/whole")

    def in_a_process(*more: str) -> dict[str, Any]:
        script = Path(__file__).parents[1] / "bucket_run.py"
        command = [sys.executable, str(script), str(spec), store.root, f"sqlite:///{tmp_path}/mlflow.db", *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        (tmp_path / f"output-{len(more)}").write_text(done.stdout + done.stderr)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    run = in_a_process()["run"]
    before = {name: store.read(name) for name in store.keys(f"{run}/journal") if "/trial-" in name}
    assert len(before) == 4 and not store.exists(f"{run}/manifest.json")
    answer = in_a_process(run)
    assert (answer["status"], answer["report"]) == ("registered", f"s3://runs/whole/{run}/report.html")
    assert {name: store.read(name) for name in before} == before
    names = {name.removeprefix(f"{run}/") for name in store.keys(run)}
    assert {
        "spec.yaml",
        "manifest.json",
        "trials.jsonl",
        "evaluation.json",
        "scorecard.json",
        "report.html",
        "model_card.md",
        "predictions/test.parquet",
        "model/SHA256SUMS",
        "model/model.ubj",
    } <= names
    assert json.loads(store.read(f"{run}/manifest.json"))["status"] == "registered"
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    everything = [text for text in [*store.read_many(store.keys()), *files] if text is not None]
    assert not [text for text in everything if SECRET.encode() in text or bucket["AWS_ACCESS_KEY_ID"].encode() in text]
