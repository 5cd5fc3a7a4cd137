"""The examples in docstrings are run. Only modules with an example are imported, and only when their test runs."""

import doctest
import importlib
from pathlib import Path

import pytest

import ray_pipeline

PACKAGE = Path(ray_pipeline.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(module_name(path) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text())


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_the_output_that_they_show(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert attempted > 0 and failed == 0


def test_examples_are_found() -> None:
    assert "ray_pipeline.spec.gate" in MODULES
