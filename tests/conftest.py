"""One local Ray for the whole run, tables whose signal, gap and staleness are known, and no skipped test in CI."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from ray_pipeline.components.choice import TRUST
from ray_pipeline.runtime.process_state import SETTINGS

os.environ.update(SETTINGS)
os.environ["RAY_AUTH_MODE"] = (
    "disabled"  # set before ray is imported: a test's own cluster is on loopback and lives for minutes
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skipped test into a failed one where `CI` is set: CI installs all that the tests need."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome, report.longrepr = "failed", f"skipped, but CI must run every test: {report.longrepr}"
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that takes a `fault_seed` once for each offset: it draws when and where its fault comes."""
    if "fault_seed" in metafunc.fixturenames:
        seeds = range(int(os.environ.get("RAY_PIPELINE_FAULT_OFFSETS", "1")))
        metafunc.parametrize("fault_seed", seeds, ids=[f"seed{seed}" for seed in seeds])


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that uses the shared Ray, and every other one that starts a Ray of its own."""
    for item in items:
        if "ray_local" in item.fixturenames:  # type: ignore[attr-defined]
            item.add_marker("ray")
        elif item.get_closest_marker("ray"):
            item.add_marker("own_ray")


@pytest.fixture(autouse=True)
def nothing_trusted() -> Iterator[None]:
    """No package is trusted before a test; what it trusts is of that test alone."""
    os.environ.pop(TRUST, None)
    yield
    os.environ.pop(TRUST, None)


@pytest.fixture(scope="session")
def ray_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A local Ray with 2 CPUs, as a run starts one: its workers are forks."""
    import ray

    from ray_pipeline.runtime.local_ray import private_folder, starting
    from ray_pipeline.runtime.private_ray import LOOPBACK

    options = {"num_cpus": 2, "object_store_memory": 400_000_000, "_node_ip_address": LOOPBACK}
    with private_folder(keep=False) as folder:
        with starting(folder, log_to_driver=False):
            ray.init(address="local", include_dashboard=False, log_to_driver=False, **options)
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `loans`, `rates` and `branches`; see `tables.py` for what is planted in them."""
    from tables import write_tables

    folder = tmp_path_factory.mktemp("loans")
    write_tables(folder / "data")
    return folder
