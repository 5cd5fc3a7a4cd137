"""What lies outside the run fails: the registry at its start or at its end, the disk in its middle. Nothing is lost,
and `resume` goes on."""

import errno
import json
import time
from pathlib import Path

import pytest
from job_fixture import free_port
from tables import write_spec

from ray_pipeline import pipeline
from ray_pipeline.errors import RegistryError, StorageError
from ray_pipeline.registry.registry import Registry
from ray_pipeline.resuming import resume
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning import final_fit

pytestmark = pytest.mark.ray
FIT = "model: {xgboost => fit: {on: train+validation}\nmodel: {xgboost"


@pytest.fixture(scope="module")
def spec(loans) -> Spec:
    return Spec.from_file(write_spec(loans, "faults.yaml", trials="trials: 6 => trials: 2", fit=FIT))


@pytest.fixture
def at(tmp_path, ray_local) -> Where:
    return Where(storage=str(tmp_path / "runs"))


def test_a_registry_that_is_down_is_told_before_anything_is_trained(spec, at):
    down = at.model_copy(update={"registry": f"http://127.0.0.1:{free_port()}"})
    begun = time.monotonic()
    with pytest.raises(RegistryError) as told:
        pipeline.run(spec, down)
    assert time.monotonic() - begun < 60  # a limit against hanging, no measurement
    assert told.value.exit_code == 5
    run = RunFolder.open(at.storage_folder(Path.cwd()), told.value.answer["run"])
    assert run.journal.steps("trial-") == []
    assert run.journal.recorded("layout") is None


def test_a_sqlite_that_may_not_be_written_is_told_before_anything_is_trained(spec, at, tmp_path):
    file = tmp_path / "mlflow.db"
    Registry(f"sqlite:///{file}").prepare()
    file.chmod(0o444)
    with pytest.raises(RegistryError, match="is read-only"):
        pipeline.run(spec, at.model_copy(update={"registry": f"sqlite:///{file}"}))
    assert not list(tmp_path.glob("runs/*/journal/trial-*"))


@pytest.mark.slow
def test_a_registry_that_is_down_at_the_end_costs_no_model(spec, at, tmp_path, monkeypatch):
    def gone(*_, **__):
        from ray_pipeline.errors import Problem

        raise RegistryError(
            Problem(key="registry", found="http://registry answered: connection refused", fix="start it")
        )

    with monkeypatch.context() as patch:
        patch.setattr("ray_pipeline.registry.own_process._Elsewhere.register", gone)
        with pytest.raises(RegistryError) as told:
            pipeline.run(spec, at)
    run = RunFolder.open(tmp_path / "runs", told.value.answer["run"])
    model = (run.path / "model/SHA256SUMS").read_bytes()
    assert json.loads((run.path / "scorecard.json").read_text())["passed"]
    assert not (run.path / "manifest.json").exists()
    monkeypatch.setattr(final_fit, "_on_one_worker", None)  # nothing is trained again
    release = resume(run)
    assert (release.status, release.version) == ("registered", 1)
    assert (run.path / "model/SHA256SUMS").read_bytes() == model
    assert [len(found["versions"]) for found in Registry(at.registry_uri(tmp_path)).list()] == [1]


@pytest.mark.parametrize("where", ["write", "worker"])
@pytest.mark.long
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(where, spec, at, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "/runs/model.ubj")

    with monkeypatch.context() as patch:
        if where == "write":
            patch.setattr("ray_pipeline.bundle.shutil.copyfile", full)
        else:
            patch.setattr(final_fit, "_sha256", full)
        with pytest.raises(StorageError, match="No space left on device") as told:
            pipeline.run(spec.model_copy(update={"registration": False}), at)
    assert told.value.exit_code == 6
    run = RunFolder.open(tmp_path / "runs", told.value.answer["run"])
    assert len(run.journal.steps("trial-")) == 2
    assert not [path for path in run.path.rglob("*") if path.name.endswith(".tmp")]
    assert resume(run).exit == 0
