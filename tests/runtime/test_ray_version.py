"""The releases of Ray that are supported: the same in `pyproject.toml` and in the code, and others are refused."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from ray_pipeline.errors import ResourceError
from ray_pipeline.runtime.ray_version import NEWEST, OLDEST, REQUIREMENT, check_ray_version, version_mismatch
from ray_pipeline.runtime.session import session
from ray_pipeline.spec.where import Where

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.48.0
    Python: 3.10.2
This process on node address 10.0.0.1 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


def test_pyproject_asks_for_the_releases_that_the_code_accepts() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert [one.partition("]")[2] for one in asked if one.startswith("ray[")] == [REQUIREMENT] * 2


def test_the_release_that_is_installed_is_supported() -> None:
    check_ray_version(version("ray"))


@pytest.mark.parametrize("minor", [OLDEST, NEWEST])
def test_every_patch_of_a_supported_release_is_accepted(minor: tuple[int, int]) -> None:
    for patch in ("0", "3", "0rc1"):
        check_ray_version(f"{minor[0]}.{minor[1]}.{patch}")


@pytest.mark.parametrize(
    "found", [f"{OLDEST[0]}.{OLDEST[1] - 1}.9", f"{NEWEST[0]}.{NEWEST[1] + 1}.0", "1.13.0", "3.0.0.dev0"]
)
def test_another_release_is_refused_with_the_supported_ones(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "__version__", found)
    with pytest.raises(ResourceError) as refused, session(Where()):
        pass
    (problem,) = refused.value.problems
    assert refused.value.exit_code == 4
    assert problem.found == (
        f"Ray {found} is installed here; ray-pipeline supports Ray {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    )
    assert f"ray[data,train,tune]{REQUIREMENT}" in problem.fix


def test_a_cluster_with_another_release_is_named_with_both() -> None:
    problem = version_mismatch("head:6379", RuntimeError(MISMATCH))
    assert problem is not None
    assert problem.found == (
        "the cluster at 'head:6379' runs Ray 2.48.0 on Python 3.10.2, and this process runs Ray 2.60.0 on Python 3.11.7"
    )
    assert "the same versions" in problem.fix


def test_other_errors_of_a_connection_are_no_mismatch() -> None:
    assert version_mismatch("head:6379", ConnectionError("Ray: unreachable")) is None


def test_ray_writes_the_mismatch_as_it_is_read_here() -> None:
    from ray._private.utils import check_version_info

    with pytest.raises(RuntimeError) as raised:
        check_version_info({"ray_version": "1.0.0", "python_version": "3.9.1"}, "node address 10.0.0.1")
    problem = version_mismatch("auto", raised.value)
    assert problem is not None
    assert "runs Ray 1.0.0 on Python 3.9.1, and this process runs Ray " in problem.found
