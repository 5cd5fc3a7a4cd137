"""The documentation site: it builds without a warning, and its reference has every public name and every key."""

import html
import importlib
import io
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

import ray_pipeline
from ray_pipeline.cli import build
from ray_pipeline.components.choice import each, menu, name_of
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

ROOT = Path(__file__).parents[1]
FLIGHTS = (ROOT / "ray_pipeline" / "examples" / "flights" / "flights.yaml").read_text()


def generator(name: str) -> ModuleType:
    """A module of docs/generator/."""
    sys.path.insert(0, str(ROOT / "docs" / "generator"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


REFERENCE: Any = generator("spec_reference")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does, in a network of its own if the machine allows it."""
    folder = tmp_path_factory.mktemp("site")
    alone = ["unshare", "--net", "--map-root-user"]
    offline = shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    command = [*(alone if offline else []), sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-3000:]
    assert "excluded from the built site" not in done.stderr, done.stderr[-3000:]
    return folder


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_the_site_builds_without_a_warning_and_every_link_leads_somewhere(site: Path) -> None:
    broken = []
    for page in site.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            path, _, anchor = html.unescape(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            if page.name == "404.html" or re.match(r"[a-z]+:", link):
                continue
            if not target.exists() or (
                anchor and target.suffix == ".html" and f'id="{anchor}"' not in target.read_text()
            ):
                broken.append((page.name, link))
    assert broken == []


def test_no_page_asks_a_foreign_server(site: Path) -> None:
    loaded = re.compile(r'<(?:script|img|iframe)[^>]* src="https?:|<link[^>]* rel="stylesheet" href="https?:')
    assert [page.name for page in site.rglob("*.html") if loaded.search(page.read_text())] == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text()
    places = {name: f"ray_pipeline.{module}.{name}" for name, module in ray_pipeline._MODULES.items()}
    assert [name for name, place in places.items() if f'id="{place}"' not in page] == []


def test_every_key_of_a_spec_is_in_the_reference_with_its_meaning_and_an_example(site: Path) -> None:
    page, keys = text_of(site / "reference" / "spec.html"), REFERENCE.all_keys()
    assert len(keys) > 80
    assert [key.name for key in keys if key.name not in page] == []
    assert [key.name for key in keys if not key.meaning] == []
    assert [key.name for key in keys if key.name not in REFERENCE.examples()] == []


def test_the_reference_has_every_key_that_a_rendered_spec_has() -> None:
    def dotted(section: Any, prefix: str) -> set[str]:
        inner = {
            (*one.split("."),)[0]
            for one in {key.name.removeprefix(prefix) for key in REFERENCE.all_keys() if key.name.startswith(prefix)}
        }
        return {f"{prefix}{key}" for key in section if key not in inner}

    data = Spec.from_text(FLIGHTS).as_data()
    missing = dotted(data, "")
    for section in ("select", "split", "search", "fit", "evaluate", "bias", "register", "checks", "explain"):
        missing |= dotted(data[section], f"{section}.")
    assert missing == set()


def test_every_choice_verb_and_cluster_key_is_in_the_reference(site: Path) -> None:
    spec = text_of(site / "reference" / "spec.html")
    for folder in ("models", "metrics", "checks", "slices", "calibrators", "column_encodings", "sources", "splitters"):
        assert [word for word in map(name_of, each(folder)) if word not in spec] == [] and menu(folder)
    cluster = text_of(site / "reference" / "cluster-file.html")
    assert [key.name for key in REFERENCE.cluster_keys() if key.name not in cluster or not key.meaning] == []
    assert [key.name for key in REFERENCE.cluster_keys() if key.name not in REFERENCE.examples()] == []
    verbs = text_of(site / "reference" / "command-line.html")
    words = [one.name or one.callback.__name__ for one in build().registered_commands]  # type: ignore[union-attr]
    assert len(words) > 15
    assert [word for word in words if f"ray-pipeline {word.replace('_', '-')}" not in verbs] == []
    assert "ray-pipeline models rollback NAME" in verbs


def example_keys() -> list[str]:
    return [key for key in REFERENCE.examples() if key.split(".")[0] not in Where.model_fields]


@pytest.mark.parametrize("key", example_keys())
def test_a_spec_accepts_the_example_of_each_key(key: str) -> None:
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    value, spec = REFERENCE.examples()[key], yaml.load(FLIGHTS)
    if key.startswith("split.") and key not in ("split.by", "split.gap"):
        spec["split"] = {"by": "random"} if key != "split.column" else {"by": "column"}
    if key == "split.by":
        spec["split"] = {"validation": "2013-09-01", "test": "2013-11-01"}
    if key.startswith("features.TABLE") and (kind := FORMATS.get(key.rpartition(".")[2])):
        spec["features"]["weather"]["kind"] = kind
    if key in ("features.TABLE.url", "features.TABLE.query"):
        spec["features"]["weather"] |= {"url": "sqlite:///a.db", "query": "SELECT 1"}
    if key.startswith("features.REPOSITORY"):
        spec = {"name": "a", "task": "binary", "model": "xgboost", "split": {"by": "random"}} | {
            "features": spec["features"]
        }
        spec["features"] = {
            "labels": {"path": "data/trips", "label": "late", "time": "event_timestamp"},
            "REPOSITORY": {"path": "repo", "kind": "feast", **({} if key.endswith("views") else {"service": "all"})},
        }
    if key == "features":
        spec = {name: spec[name] for name in ("name", "task", "model")} | {"split": {"by": "random"}}
    steps = key.replace("TABLE", "weather").replace("COLUMN", encoded(key)).split(".")
    at = spec
    for step in steps[:-1]:
        at[step] = at[step] if isinstance(at.get(step), dict) else {}
        at = at[step]
    merged = isinstance(value, dict) and isinstance(at.get(steps[-1]), dict) and key not in ("split", "features")
    at[steps[-1]] = at[steps[-1]] | value if merged else value
    if key == "explain.slices":
        at["rows"] = 100
    if key.startswith("evaluate.threshold.cost.f"):
        at |= {"false_positive": 1, "false_negative": 1, steps[-1]: value}
    if key.startswith("evaluate.threshold."):
        spec["evaluate"]["threshold"] = {steps[2]: spec["evaluate"]["threshold"][steps[2]]}
    yaml.dump(spec, text)
    assert Spec.from_text(text.getvalue())


FORMATS = {name: name_of(kind) for kind in each("sources") for name in kind.parameters().model_fields}


def encoded(key: str) -> str:
    """A column of the flights that takes the option."""
    option = key.rpartition(".")[2]
    return {"as": "carrier", "rare": "carrier", "parts": "hour", "cycles": "hour"}.get(option, "distance")


@pytest.mark.parametrize("key", [key.name for key in REFERENCE.cluster_keys()])
def test_a_cluster_file_accepts_the_example_of_each_key(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "any")
    value = REFERENCE.examples()[key]
    for step in reversed(key.replace("EVENT", "registered").split(".")):
        value = {step: value} if step != "secret" else {step: value, "url": "https://deploy.example.com"}
    written = {"registry": "http://mlflow.internal:5000"} | value
    (tmp_path / "cluster.yaml").write_text(
        "".join(f"{name}: {REFERENCE._flow(value)}\n" for name, value in written.items())
    )
    assert Where.from_file(tmp_path / "cluster.yaml")


@pytest.mark.parametrize("page", ["index", "reference/spec", "tutorials/first-model"])
def test_a_browser_shows_a_page(site: Path, page: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no browser on this machine: `apt-get install -y chromium` (.ci/run does it)")
    picture = tmp_path / "page.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1400,1200"]
    address = (site / f"{page}.html").as_uri()
    command = [browser, *flags, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", address]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (1400, 1200)
    assert len(content) > 40_000  # an empty page has 6,000 bytes
