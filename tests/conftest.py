"""One local Ray for the whole run, and tables whose signal, gap and staleness are known."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_pipeline.runtime.process_state import SETTINGS

os.environ.update(SETTINGS)
os.environ["RAY_AUTH_MODE"] = (
    "disabled"  # set before ray is imported: a test's own cluster is on loopback and lives for minutes
)


@pytest.fixture(scope="session")
def ray_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A local Ray with 2 CPUs, its files under a short folder of its own."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=400_000_000)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `loans`, `rates` and `branches`; see `tables.py` for what is planted in them."""
    from tables import write_tables

    folder = tmp_path_factory.mktemp("loans")
    write_tables(folder / "data")
    return folder
