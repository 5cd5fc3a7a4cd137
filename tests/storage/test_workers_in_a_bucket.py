"""Trials and a final fit of two workers each, with all storage in a bucket: the bytes of a run in a local folder."""

from pathlib import Path
from typing import Any

import pytest
from command_fixture import begin, finish
from tables import write_spec

from ray_pipeline.storage.blob_store import BlobStore

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]
NAMES = ("model/model.ubj", "model/encoder.json", "model/calibration.json", "evaluation.json")


def run(folder: Path, loans: Path, where: str) -> dict[str, Any]:
    """The answer of a run on two workers with that storage."""
    folder.mkdir()
    (folder / "data").symlink_to(loans / "data")
    (folder / "on.yaml").write_text(f"workers_per_trial: 2\n{where}")
    write_spec(
        folder,
        trials="trials: 6 => trials: 3",
        fit="model: {xgboost: => fit: {on: train+validation}\nmodel: {xgboost:",
        register="register: {alias: challenger} => register: false",
    )
    code, answer = finish(begin(folder, "run", "loans.yaml", "--on", "on.yaml"), folder, 400)
    assert code == 0, (answer["problems"], (folder / "stderr.txt").read_text()[-3000:])
    return answer


def test_trials_of_two_workers_with_storage_in_a_bucket(bucket: dict[str, str], loans: Path, tmp_path: Path) -> None:
    store = BlobStore("s3://runs/workers")
    registry = f"registry: sqlite:///{tmp_path}/mlflow.db\n"
    remote = run(tmp_path / "remote", loans, f"storage: {store.root}\n{registry}")
    local = run(tmp_path / "local", loans, "storage: ./runs\n")
    assert (remote["trials"], local["trials"]) == (3, 3)
    for name in NAMES:
        written = (tmp_path / "local" / "runs" / local["run"] / name).read_bytes()
        assert store.read(f"{remote['run']}/{name}") == written, name
    kept = {name.removeprefix(f"{remote['run']}/").split("/")[0] for name in store.keys(remote["run"])}
    assert not [name for name in kept if name.startswith(".")]
    assert store.exists(f"{remote['run']}/manifest.json")
