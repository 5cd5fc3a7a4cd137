"""The public functions and types: found by name, never hidden by a module, and used as the documentation shows."""

import ast
import importlib
import inspect
import pkgutil
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ray_pipeline

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
NEEDS_MLFLOW = "ray_pipeline.registry.pyfunc_model"


def test_no_module_hides_a_public_name() -> None:
    for module in pkgutil.walk_packages(ray_pipeline.__path__, "ray_pipeline."):
        if module.name not in ("ray_pipeline.__main__", NEEDS_MLFLOW) and "_torch" not in module.name:
            importlib.import_module(module.name)
    for name in ray_pipeline.__all__:
        assert not inspect.ismodule(getattr(ray_pipeline, name)), name


def test_type_checkers_and_editors_see_every_public_name() -> None:
    tree = ast.parse(Path(ray_pipeline.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    modules = ray_pipeline._MODULES
    assert seen == {name: f"ray_pipeline.{module}.{name}" for name, module in modules.items()}


def test_a_notebook_completes_the_public_names() -> None:
    assert dir(ray_pipeline) == sorted(ray_pipeline.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'ray_pipeline' has no attribute 'trian'"):
        ray_pipeline.trian  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_function_says_what_it_does() -> None:
    for name in ray_pipeline.__all__:
        if name != "__version__":
            summary = inspect.getdoc(getattr(ray_pipeline, name))
            assert summary and summary.splitlines()[0].endswith("."), name


def test_the_python_page_names_every_public_name() -> None:
    table = PAGE.read_text().split("## Public names")[1]
    named = {name for cell in re.findall(r"`([^`]+)`", table) for name in re.findall(r"^\w+", cell)}
    assert {*ray_pipeline.__all__} - {"__version__"} <= named


@pytest.mark.ray
@pytest.mark.slow
def test_the_python_page_runs_and_the_stages_make_what_the_whole_run_makes(
    ray_local: None, loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(loans / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, names)
    release, staged, scores = names["release"], names["staged"], names["scores"]
    assert release.status == staged.status == "registered" and release.gates[0]["passed"]
    assert release.metrics == staged.metrics
    assert release.predictions.equals(staged.predictions)
    assert release.run[:-1] == staged.run[:-1]  # one identity, run 1 and run 2
    assert scores.shape == (100,) and names["first"][0] == scores[0] and names["now"].shape == (1,)
    filed = pd.read_csv("scores.csv")["score"].to_numpy()
    assert filed[:100].tolist() == scores.tolist() and names["answer"]["rows"] == len(filed) == 6_000
    assert names["keys"] == ["model.xgbost", "gates[0]"]
    assert list(names["model"].columns) == re.findall(
        r"'([^']+)'", re.findall(r"model.columns  # (.*)", PAGE.read_text())[0]
    )
