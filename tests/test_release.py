"""The package as others get it: the sdist and the wheel, their size, and a run from the installed wheel alone."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
MIB = 2**20
pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]


def call(*command: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    """The output of a program that must succeed."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist and the wheel, built from the files that git tracks."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "dist"))
    for name in subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(
        b"\0"
    ):
        if name and (ROOT / os.fsdecode(name)).is_file():
            copy = source / os.fsdecode(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / os.fsdecode(name)).read_bytes())
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, folder=source)
    return {file.suffix: file for file in out.iterdir()}


def assert_holds(names: Sequence[str], *wanted: str) -> None:
    assert [path for path in wanted if not any(name.endswith(path) for name in names)] == []


def test_both_files_are_small_complete_and_pass_twine(built: dict[str, Path]) -> None:
    wheel, sdist = built[".whl"], built[".gz"]
    assert wheel.name == f"ray_pipeline-{VERSION}-py3-none-any.whl" and sdist.name == f"ray_pipeline-{VERSION}.tar.gz"
    assert max(file.stat().st_size for file in built.values()) < 10 * MIB
    shown = call(sys.executable, "-m", "twine", "check", "--strict", *built.values(), folder=wheel.parent)
    assert shown.count("PASSED") == 2
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
    needed = ("py.typed", "report/page.html.j2", "report/page.css", "report/sort.js", "examples/adult/adult.yaml")
    assert_holds(names, *needed, "examples/adult/data/adult.parquet", "LICENSE")
    assert [
        name for name in names if name.partition("/")[0] not in ("ray_pipeline", f"ray_pipeline-{VERSION}.dist-info")
    ] == []
    with tarfile.open(sdist) as held_too:
        assert_holds(held_too.getnames(), *needed, "README.md", "LICENSE", "pyproject.toml")


def test_the_version_stands_in_one_place_and_the_changelog_has_it() -> None:
    dated = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert dated[0] == VERSION
    cited = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    images = {
        version
        for file in (ROOT / "cluster").iterdir()
        for version in re.findall(r"/ray-pipeline:(\d[\d.]*\d)", file.read_text())
    }
    assert {*cited} == images == {VERSION}


@pytest.mark.ray
def test_the_installed_wheel_runs_the_demo_in_an_empty_environment(built: dict[str, Path], tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RAY_", "VIRTUAL"))
    }
    base = Path(sys.base_prefix) / "bin" / "python3"
    call(base, "-m", "venv", "--without-pip", "env", folder=tmp_path, environment=environment)
    python, command = tmp_path / "env" / "bin" / "python", tmp_path / "env" / "bin" / "ray-pipeline"
    call(
        base,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        built[".whl"],
        folder=tmp_path,
        environment=environment,
    )
    version = "import ray_pipeline; print(ray_pipeline.__version__, ray_pipeline.__file__)"
    found, file = call(python, "-c", version, folder=tmp_path, environment=environment).split()
    assert found == VERSION and Path(file).is_relative_to(tmp_path)
    call(command, "init", "flights", "demo", folder=tmp_path, environment=environment)
    asked = [command, "run", "demo/flights.yaml", "--set", "search.trials=2", "--json"]
    answer = json.loads(call(*asked, folder=tmp_path, environment=environment).splitlines()[-1])
    assert answer["status"] == "registered" and answer["model"] == "models:/flight_delay/1"
    assert Path(tmp_path, answer["report"]).read_text().startswith("<!doctype html>")
