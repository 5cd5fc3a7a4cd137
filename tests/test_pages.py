"""Every command, every piece of Python and every piece of a spec on the tutorials and how-to pages is executed."""

import io
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from job_fixture import head
from page_fixture import PageRunner, assert_only_site_programs, blocks_of, fits
from ruamel.yaml import YAML

from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("tutorials/*.md"), *DOCS.glob("how-to/*.md"), *DOCS.glob("explanation/*.md")])
CLUSTER = DOCS / "tutorials" / "a-cluster.md"
WITH_RAY = [
    page
    for page in PAGES
    if page != CLUSTER
    and re.search(r"^\$ ray-pipeline (run|retrain|predict|evaluate)|rp\.run\(", page.read_text(), re.MULTILINE)
]
FLIGHTS = (ROOT / "ray_pipeline" / "examples" / "flights" / "flights.yaml").read_text()
LANGUAGES = {"python", "console", "yaml", "sh", "text", "csv", "toml"}


def name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PageRunner:
    """A runner in an empty folder. Packages that a page writes are found there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return PageRunner(folder=tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_of_a_page_is_of_a_kind_that_is_executed_or_checked(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in LANGUAGES
        if block.language == "sh":
            assert_only_site_programs(block.code)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in (*WITH_RAY, CLUSTER)], ids=name)
def test_a_page_without_a_run_is_executed(page: Path, runner: PageRunner) -> None:
    runner.run(page)


@pytest.mark.parametrize("page", WITH_RAY, ids=name)
@pytest.mark.ray
@pytest.mark.slow
def test_a_page_with_runs_is_executed(page: Path, ray_local: None, runner: PageRunner) -> None:
    runner.run(page)
    if page.stem == "reading-a-report":
        picture_of(next(runner.folder.glob("runs/*/report.html")), runner.folder / "report.png")


def picture_of(page: Path, picture: Path) -> None:
    """The top of a page in a browser. With UPDATE_PICTURES set it becomes the picture of that name in docs/."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no browser on this machine: `apt-get install -y chromium` (.ci/run does it)")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1000"]
    profile = f"--user-data-dir={picture.parent / 'profile'}"
    command = [browser, *flags, profile, f"--screenshot={picture}", page.as_uri()]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    assert picture.read_bytes()[16:24] == struct.pack(">II", 1200, 1000)
    assert picture.stat().st_size > 40_000  # an empty page has 6,000 bytes
    if os.environ.get("UPDATE_PICTURES"):
        shutil.copy(picture, DOCS / picture.name)


@pytest.mark.ray
@pytest.mark.long
def test_the_page_of_a_cluster_is_executed_on_a_cluster(runner: PageRunner) -> None:
    with ExitStack() as stack:
        clusters = []
        runner.in_process = False

        def start() -> None:
            clusters.append(stack.enter_context(head(RAY_AUTH_MODE="disabled")))
            file = runner.folder / "cluster" / "one-machine.yaml"
            assert "http://127.0.0.1:8265" in file.read_text()
            file.write_text(file.read_text().replace("http://127.0.0.1:8265", clusters[0].url))
            runner.environment |= clusters[0].environment

        runner.replaced = {"ray start": start, "ray stop": lambda: None}
        runner.run(CLUSTER)
        assert len(clusters) == 1


def pieces() -> Iterator[tuple[str, str]]:
    """The pieces of YAML without a file's name, with the page of each."""
    for page in PAGES:
        for place, block in enumerate(blocks_of(page)):
            if block.language == "yaml" and not block.title:
                yield f"{name(page)}-{place}", block.code


@pytest.mark.parametrize("piece", [pytest.param(code, id=place) for place, code in pieces()])
def test_a_piece_of_yaml_is_accepted_within_the_demo_or_as_a_cluster_file(
    piece: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    written = yaml.load(piece)
    if {*written} & {*Where.model_fields} - {"name"}:
        (tmp_path / "cluster.yaml").write_text(piece)
        monkeypatch.setenv("HOOK_SECRET", "any")
        monkeypatch.setenv("CHAT_URL", "https://chat.example.com/hooks/any")
        assert Where.from_file(tmp_path / "cluster.yaml")
        return
    whole = {**yaml.load(FLIGHTS), **written}
    if "features" in written:  # the other sections name columns of the flights
        whole = {key: whole[key] for key in ("name", "task", "features", "model")} | {
            key: value for key, value in written.items() if key != "features"
        }
        whole.setdefault("split", {"by": "random"})
    yaml.dump(whole, text)
    assert {*written} <= {*Spec.from_text(text.getvalue()).as_data()}


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("auc 0.69", "auc 0.7123", True),
        ("auc 0.69", "ks 0.7123", False),
        ("a\n…\nb", "a\nx\ny\nb", True),
        ("a\n…\nb", "a\nb", True),
        ("a\nb", "a\nx\nb", False),
        ("run … done", "run churn-12 done", True),
        ("4,000 rows", "12 rows", True),
    ],
)
def test_output_is_compared_word_by_word(shown: str, printed: str, same: bool) -> None:
    assert fits(shown, printed) is same
