"""A saved state, a cached block, a bundle or a version is damaged at a random place: found before it is parsed."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from bundle_fixture import Trained, train
from damage_fixture import damage
from registry_fixture import NAME, add, model_folder

from ray_pipeline import bundle as bundle_module
from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import RegistryError, StorageError
from ray_pipeline.preprocessing import cache
from ray_pipeline.registry import Registry
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.tuning import final_fit

DAMAGES = 50
"""Damages of each offset, for each kind of file."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def registered(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with one version."""
    registry = Registry(f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db")
    registry.prepare()
    add(registry, trained, "run-1")
    return registry


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was parsed; nothing may be."""
    read = list[str]()

    def parse(*arguments: object, **_: object) -> None:
        read.append(str(arguments))
        raise AssertionError("parsed before its SHA-256 was checked")

    monkeypatch.setattr(bundle_module, "read_part", parse)
    monkeypatch.setattr(pa.ipc, "open_file", parse)
    yield read
    assert read == []


def test_a_damaged_state_of_the_final_fit_is_removed_and_said(fault_seed: int, tmp_path: Path) -> None:
    draw, store = random.Random(f"state {fault_seed}"), BlobStore(str(tmp_path))
    for number in range(DAMAGES):
        for name in ("fit.state", "other.state"):
            store.write_sealed(name, draw.randbytes(2_000))
        said, notes = damage(tmp_path / "fit.state", tmp_path / "other.state", draw), list[str]()
        final_fit._remove_damaged(store, "fit.state", notes.append)
        assert not store.exists("fit.state"), (number, said)
        assert len(notes) == (not said.startswith("missing")), said


def test_a_damaged_block_of_the_cache_is_not_parsed(fault_seed: int, tmp_path: Path) -> None:
    draw, store = random.Random(f"block {fault_seed}"), BlobStore(str(tmp_path))
    for _ in range(DAMAGES):
        for number in range(2):
            cache._save_block(store, f"{number}.arrow", pa.table({"x": [draw.random() for _ in range(200)]}))
        with pytest.MonkeyPatch.context() as patch:
            said = damage(tmp_path / "0.arrow", tmp_path / "1.arrow", draw)
            patch.setattr(pa.ipc, "open_file", None)
            block, error = cache._load_block(store, "0.arrow")
        assert block is None and isinstance(error, StorageError), said


def test_a_damaged_bundle_is_not_parsed(fault_seed: int, trained: Trained, tmp_path: Path, parsed: list[str]) -> None:
    draw, source = random.Random(f"bundle {fault_seed}"), trained.bundle.folder
    names = sorted(file.name for file in source.iterdir() if file.name != "SHA256SUMS")
    for number in range(DAMAGES):
        copy = shutil.copytree(source, tmp_path / str(number))
        name, other = draw.sample(names, 2)
        said = damage(copy / name, copy / other, draw)
        with pytest.raises(RegistryError) as caught:
            Bundle.load(copy)
        assert name in [Path(str(problem.file)).name for problem in caught.value.problems], (name, said)


def test_a_damaged_version_is_never_loaded_and_the_file_is_named(
    fault_seed: int, registered: Registry, tmp_path: Path
) -> None:
    draw, folder = random.Random(f"version {fault_seed}"), model_folder(registered, f"{NAME}/1")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    shutil.copytree(folder, tmp_path / "whole")
    for _ in range(5):
        file, other = draw.sample([path for path in files if path.stat().st_size], 2)
        said = f"{damage(file, other, draw)} in {file.name}"
        with pytest.raises(RegistryError) as caught:
            registered.verify(f"{NAME}/1")
        assert str(file) in [problem.file for problem in caught.value.problems], said
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "whole", folder)
    registered.verify(f"{NAME}/1")
