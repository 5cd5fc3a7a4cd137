"""The public functions and types: found by name, never hidden by a module, and used as the documentation shows."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables import write_spec

import ray_pipeline

PAGE = Path(__file__).parents[1] / "docs" / "running.md"
BLOCKS = re.findall(r"^```python\n(import ray_pipeline as rp\n.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
NEEDS_MLFLOW = "ray_pipeline.registry.pyfunc_model"


def test_no_module_hides_a_public_name() -> None:
    for module in pkgutil.walk_packages(ray_pipeline.__path__, "ray_pipeline."):
        if module.name not in ("ray_pipeline.__main__", NEEDS_MLFLOW) and "_torch" not in module.name:
            importlib.import_module(module.name)
    for name in ray_pipeline.__all__:
        assert not inspect.ismodule(getattr(ray_pipeline, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'ray_pipeline' has no attribute 'trian'"):
        ray_pipeline.trian  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_function_says_what_it_does() -> None:
    for name in ray_pipeline.__all__:
        if name != "__version__":
            summary = inspect.getdoc(getattr(ray_pipeline, name))
            assert summary and summary.splitlines()[0].endswith("."), name


@pytest.mark.ray
def test_the_stages_make_what_the_whole_run_makes(
    ray_local: None, loans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(loans, registered="trials: 6 => trials: 2", kept="register: {alias: challenger} => register: {}")
    monkeypatch.chdir(loans)
    loans_table = pq.read_table(loans / "data" / "loans").slice(0, 50)
    joined = {name: pa.nulls(50) for name in ("rates.rate", "branches.size", "branches.region")}
    for name, column in joined.items():
        loans_table = loans_table.append_column(name, column)
    whole: dict[str, object] = {"frame": loans_table}
    staged: dict[str, object] = {}
    for block, names in zip(BLOCKS, (whole, staged), strict=True):
        exec(block, names)
    assert whole["release"].status == staged["release"].status == "registered"
    assert whole["release"].metrics == staged["release"].metrics
    assert whole["release"].predictions.equals(staged["release"].predictions)
    assert whole["scores"].shape == (50,)
