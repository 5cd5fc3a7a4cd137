"""The pages say what is so: links and paths exist, specs are accepted, and the code of the pages runs."""

import importlib.util
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ray_pipeline.components.choice import each, find, name_of
from ray_pipeline.components.metrics import metrics_without_parameters
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ray_pipeline"
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"})
FLIGHTS = (PACKAGE / "examples" / "flights" / "flights.yaml").read_text()
NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 2))


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code in one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    folders = [ROOT, PACKAGE, PACKAGE / "components", page.parent, page.parent / "peers"]
    rooms = {path.name for folder in folders[:3] for path in folder.iterdir() if path.is_dir()}
    named = re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.py|(?:[\w.-]+/)+(?:[\w.-]+\.\w+)?)`", prose(page))
    paths = {path for path in named if path.endswith(".py") or path.partition("/")[0] in rooms}
    placeholders = {"cluster/NAME.yaml", "ray_pipeline/components/metrics/wape.py", "mean_cost.py"}
    assert {path for path in paths - placeholders if not any((folder / path).exists() for folder in folders)} == set()


def test_the_architecture_page_names_every_room_and_enough_files() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {file for file in files if f"`{file}`" not in text} == set()
    assert len(re.findall(r"`[\w/]+\.py`", text)) > 40


def test_the_extending_page_names_every_folder_of_choices() -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    folders = {path.name for path in (PACKAGE / "components").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))


def test_the_readme_fits_on_one_screen_and_its_spec_is_accepted() -> None:
    (spec,) = blocks("README.md", "yaml")
    assert len((ROOT / "README.md").read_text().splitlines()) <= 70
    assert list(Spec.from_text(spec).model) == ["xgboost"]


def test_the_spec_page_shows_the_demo_as_it_is() -> None:
    (shown,) = (block for block in blocks("docs/spec.md", "yaml") if "name: flight_delay" in block)
    assert Spec.from_text(shown) == Spec.from_text(FLIGHTS)


@pytest.mark.parametrize("block", blocks("docs/spec.md", "yaml"), ids=lambda block: block.split(":")[0][:20])
def test_every_piece_of_a_spec_on_the_spec_page_is_accepted(block: str) -> None:
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    written = {**yaml.load(FLIGHTS), **yaml.load(block)}
    if (
        "drivers" in written["features"] or "url" in written["features"]["labels"]
    ):  # the slices and gates of the flights name columns that it has not
        written = {key: written[key] for key in ("name", "task", "features", "model")} | {"split": {"by": "random"}}
    yaml.dump(written, text)
    assert set(Spec.from_text(text.getvalue()).as_data()) >= set(written)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_metrics_that_the_spec_page_lists_are_those_of_the_task(task: str) -> None:
    (row,) = re.findall(rf"^\| {task} \| (`.*) \|$", (ROOT / "docs" / "spec.md").read_text(), re.MULTILINE)
    spec = f"name: a\ntask: {task}\nfeatures: {{labels: {{path: a.parquet, label: y}}}}\nsplit: {{by: random}}\n"
    words = re.findall(r"`(\w+)`", row)
    asked = Spec.from_text(f"{spec}model: xgboost\nevaluate: {{metrics: [{', '.join(words)}]}}\n").evaluate.metrics
    assert [str(metric) for metric in asked] == words
    of_scores = (metric for metric in metrics_without_parameters() if not metric.of_regions)
    assert set(words) == {metric.name for metric in of_scores if metric.fits(task)}


def test_the_spec_page_lists_every_metric_with_parameters_and_its_aliases() -> None:
    text = (ROOT / "docs" / "spec.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [\w, ]+ \| (`.+) \| (`.+) \|$", text, re.MULTILINE)
    shown = {word: set(re.findall(r"`(\w+)`", aliases)) for word, _, aliases in rows}
    assert shown == {name_of(kind): {*kind.aliases} for kind in each("metrics") if kind.model_fields}
    for word, parameters, _ in rows:
        assert {*find("metrics", word).model_fields} <= {*re.findall(r"`(\w+)`", parameters)}


def test_the_cluster_file_of_the_running_page_is_accepted(tmp_path: Path) -> None:
    (block,) = blocks("docs/running.md", "yaml")
    (tmp_path / "cluster.yaml").write_text(block)
    where = Where.from_file(tmp_path / "cluster.yaml")
    assert set(YAML(typ="safe").load(block)) == {name for name in Where.model_fields if not name.startswith("_")}
    assert where.trust == ("my_package",)


def test_the_exit_codes_of_the_running_page_are_those_of_the_errors() -> None:
    from ray_pipeline import errors

    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    text = (ROOT / "docs" / "running.md").read_text()
    assert codes | {0, 7} == {int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def wape(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The metric of docs/extending.md, from its own file outside of the package."""
    file = tmp_path_factory.mktemp("metrics") / "wape.py"
    file.write_text(next(block for block in blocks("docs/extending.md", "python") if "class WAPE" in block))
    spec = importlib.util.spec_from_file_location("ray_pipeline.components.metrics.wape", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module.WAPE()
    del sys.modules[spec.name]


@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(0.1, 5)), min_size=1, max_size=30))
def test_the_metric_of_the_extending_page_agrees_with_numpy(wape: Any, rows: list[tuple[float, float, float]]) -> None:
    label, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    error, size = (weight @ np.abs(values) for values in (score - label, label))
    assert wape(label, score, weight) == pytest.approx(error / size if size else np.nan, rel=1e-9, nan_ok=True)


def test_the_metric_of_the_extending_page_declares_all_that_a_metric_must(wape: Any) -> None:
    assert wape.name == "wape" and wape.tasks == ("regression",) and wape.better == "lower"
    label, score, weight = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 2.0]), np.ones(3)
    assert wape(label, score, weight) == pytest.approx(3 / 7)
    assert wape.influence(label, score, weight).shape == (3,) and abs(wape.influence(label, score, weight).sum()) < 1e-9


def test_the_page_of_data_types_is_made_from_the_table_of_roles() -> None:
    place = importlib.util.spec_from_file_location("data_types", ROOT / "docs" / "data_types.py")
    assert place and place.loader
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    assert (ROOT / "docs" / "data-types.md").read_text() == module.page(), "run docs/data_types.py"
