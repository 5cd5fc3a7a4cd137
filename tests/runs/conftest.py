"""A complete run, shared by the tests that read it or a copy of it."""

import shutil
from pathlib import Path

import pytest
from tables import write_spec

from ray_pipeline import pipeline
from ray_pipeline.runs.release import Release
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where


@pytest.fixture(scope="package")
def release(tmp_path_factory: pytest.TempPathFactory, loans: Path, ray_local: None) -> Release:
    """Of a run on tables of its own, with runs beside them; not registered."""
    folder = tmp_path_factory.mktemp("complete")
    shutil.copytree(loans / "data", folder / "data")
    path = write_spec(
        folder,
        trials="trials: 6 => trials: 5",
        register="register: {alias: challenger} => register: false",
        gate="auc >= champion - 0.2,  => ",
    )
    return pipeline.run(Spec.from_file(path), Where(storage=str(folder / "runs")))


@pytest.fixture(scope="package")
def complete(release: Release) -> Path:
    """The folder of the complete run."""
    return Path(release.folder)
