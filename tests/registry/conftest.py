"""Registries on real sqlite files: an empty one, and one with three versions."""

import shutil
from pathlib import Path

import pytest
from bundle_fixture import Trained, train
from registry_fixture import PASSED, REFUSED, add

from ray_pipeline.registry import Registry


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One binary bundle."""
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry, made once: MLflow's migrations take seconds."""
    file = tmp_path_factory.mktemp("schema") / "mlflow.db"
    Registry(f"sqlite:///{file}").prepare()
    return file


@pytest.fixture
def registry(schema: Path, tmp_path: Path) -> Registry:
    """An empty registry of the test's own."""
    shutil.copyfile(schema, tmp_path / "mlflow.db")
    return Registry(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture(scope="session")
def three(schema: Path, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with three versions of one model, for tests that change at most its champion."""
    folder = tmp_path_factory.mktemp("three")
    shutil.copyfile(schema, folder / "mlflow.db")
    made = Registry(f"sqlite:///{folder}/mlflow.db")
    for run, scorecard in (("run-1", PASSED), ("run-2", PASSED), ("run-3", REFUSED)):
        add(made, trained, run, scorecard=scorecard)
    return made


@pytest.fixture
def one(registry: Registry, trained: Trained) -> Registry:
    """A registry with one version that a test may damage."""
    add(registry, trained, "run-1")
    return registry
