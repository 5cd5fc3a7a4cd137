"""What the README says is so: its metric works as one new file, and the paths of its map are there."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str, language: str) -> str:
    """The first block of code in that language under a heading."""
    found = re.search(rf"^#+ {re.escape(title)}\n.*?^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found, f"no block of {language or 'text'} under {title!r}"
    return found[1]


@pytest.fixture(scope="module")
def wape(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The README's metric, from a file of its own outside the package."""
    file = tmp_path_factory.mktemp("metrics") / "wape.py"
    file.write_text(section("Add a metric", "python"))
    spec = importlib.util.spec_from_file_location("ray_pipeline.components.metrics.wape", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module.WAPE()
    del sys.modules[spec.name]


NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 2))


@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(0.1, 5)), min_size=1, max_size=30))
def test_the_metric_that_the_readme_adds_agrees_with_numpy(wape: Any, rows: list[tuple[float, float, float]]) -> None:
    label, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    error, size = (weight @ np.abs(values) for values in (score - label, label))
    assert wape(label, score, weight) == pytest.approx(error / size if size else np.nan, rel=1e-9, nan_ok=True)


def test_the_readme_s_metric_says_all_that_a_metric_must(wape: Any) -> None:
    assert wape.name == "wape" and wape.tasks == ("regression",) and wape.better == "lower"
    label, score, weight = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 2.0]), np.ones(3)
    assert wape(label, score, weight) == pytest.approx(3 / 7)
    assert wape.influence(label, score, weight).shape == (3,) and abs(wape.influence(label, score, weight).sum()) < 1e-9


def tree() -> list[str]:
    """The paths of the README's map."""
    paths, inside = [], ""
    for line in section("How it works", "").splitlines():
        names = re.findall(r"^(?:\s*)((?:[\w.]+/?(?: |$))+)", line)[0].split()
        if not line.startswith(" "):
            inside = names[0] if len(line.split()) == 1 else ""
            paths.append(names[0])
            continue
        paths += (
            [inside + name for name in names if name.endswith("/")] if names[0].endswith("/") else [inside + names[0]]
        )
        if names[0] == "stages/":
            paths += [f"{inside}stages/{verb}.py" for verb in line.partition(": ")[2].split()]
    return paths


def test_every_path_of_the_readme_s_map_exists() -> None:
    paths = tree()
    assert len(paths) > 30 and "ray_pipeline/stages/judge.py" in paths and "ray_pipeline/calibrators/" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
