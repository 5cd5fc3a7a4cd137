"""The examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import ray_pipeline

PACKAGE = Path(ray_pipeline.__file__).parent
MODULES = sorted(
    ".".join(("ray_pipeline", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_the_docstrings_are_right(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0 and result.failed == 0
