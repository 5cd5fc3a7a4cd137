"""The page in headless Chromium: every section is there, the console is empty, nothing foreign is run or fetched."""

import base64
import functools
import hashlib
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_fixture import build_run

from ray_pipeline.report import write_report

SECTIONS = (
    "verdict",
    "read",
    "findings",
    "search",
    "metrics",
    "curves",
    "slices",
    "bias",
    "importance",
    "reproducibility",
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=3000",
    "--enable-logging=stderr",
    "--v=0",
)
HOSTILE = "<script>console.error('ran')</script><img src=x onerror=console.error('ran')>"


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no browser on this machine: `apt-get install -y chromium` (.ci/run does it)")
    return found


class Requests(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for."""

    def log_message(self, *_: object) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, its address, and the paths that were asked for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Requests, directory=str(tmp_path)))
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}", server.asked  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def browse(chromium: str, address: str, profile: Path, *more: str) -> tuple[str, list[str]]:
    """The page's DOM after the browser has parsed it, and the lines on the console."""
    ran = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={profile}", *more, address], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout, re.findall(r"CONSOLE[^\n]*", ran.stderr)


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_every_section_is_there_the_console_is_silent_and_nothing_is_fetched(
    task: str, chromium: str, served: tuple[Path, str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root, address, asked = served
    write_report(build_run(root / "run", task, rows=3_000))
    dom, console = browse(chromium, f"{address}/run/report.html", tmp_path_factory.mktemp("profile"), "--dump-dom")
    assert tuple(re.findall(r'<section id="(\w+)"', dom)) == SECTIONS
    assert console == []
    assert asked == ["/run/report.html"]


def test_the_console_is_really_watched(
    chromium: str, served: tuple[Path, str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root, address, asked = served
    page = write_report(build_run(root / "run", rows=1_000))
    page.write_text(
        page.read_text().replace("<main>", '<main><img src="/stolen.png"><p style="color:red">x</p><script>1</script>')
    )
    _, console = browse(chromium, f"{address}/run/report.html", tmp_path_factory.mktemp("profile"), "--dump-dom")
    assert len([line for line in console if "Content Security Policy" in line]) == 3
    assert asked == ["/run/report.html"], "the policy keeps even an injected image from being fetched"


def test_a_click_on_a_head_sorts_the_table_and_nothing_leaves_the_page(
    chromium: str, served: tuple[Path, str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root, address, asked = served
    page = write_report(build_run(root / "run", rows=3_000))
    click = "document.querySelectorAll('#slices table')[0].tHead.rows[0].cells[1].firstChild.click();"
    found = page.read_text()
    before = found.index("<script>") + len("<script>")
    script = found[before : found.index("</script>")]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, script + click)]
    page.write_text(found.replace(digests[0], digests[1]).replace(script, script + click))
    dom, console = browse(chromium, f"{address}/run/report.html", tmp_path_factory.mktemp("profile"), "--dump-dom")
    table = dom.split('id="slices"')[1].split("<table")[1]
    rows = [
        int(number.replace(",", ""))
        for number in re.findall(r'<tr[^>]*><th scope="row">[^<]*</th><td class="num">([\d,]+)</td>', table)
    ]
    assert 'aria-sort="ascending"' in table
    assert len(rows) > 3 and rows == sorted(rows)
    assert (console, asked) == ([], ["/run/report.html"])


def test_hostile_names_run_nothing_and_are_shown(
    chromium: str, served: tuple[Path, str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root, address, asked = served
    folder = build_run(root / "run", rows=1_000)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(
        json.dumps([{**row, "slice": {HOSTILE: HOSTILE} if row["slice"] else {}} for row in evaluation])
    )
    checks = json.loads((folder / "checks.json").read_text())
    (folder / "checks.json").write_text(json.dumps([{**row, "column": HOSTILE, "found": HOSTILE} for row in checks]))
    write_report(folder)
    dom, console = browse(chromium, f"{address}/run/report.html", tmp_path_factory.mktemp("profile"), "--dump-dom")
    assert console == []
    assert asked == ["/run/report.html"]
    assert dom.count("<script") == 1
    assert "<img" not in dom
    assert "&lt;script&gt;console.error('ran')&lt;/script&gt;" in dom


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (500, "light")])
def test_the_page_fills_the_window_and_follows_the_colour_scheme(
    width: int, scheme: str, chromium: str, tmp_path: Path
) -> None:
    from matplotlib.image import imread

    page = write_report(build_run(tmp_path / "run", rows=3_000))
    picture = tmp_path / "page.png"
    dark = (
        ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else ["--blink-settings=preferredColorScheme=1"]
    )
    browse(
        chromium, page.as_uri(), tmp_path / "profile", f"--window-size={width},3000", f"--screenshot={picture}", *dark
    )
    seen = imread(picture)[..., :3]
    assert seen.shape[:2] == (3000, width)
    paper = seen[5, 5].mean()
    assert paper < 0.2 if scheme == "dark" else paper > 0.9
    assert seen[2500:].std() > 0.01, "the lower part of the page is laid out, too"
    assert abs(seen[:, -3:] - seen[5, 5]).max() < 0.02, "nothing runs over the right edge"


MEASURE = """
document.querySelectorAll("details").forEach((one) => (one.open = true));
const edge = document.documentElement.clientWidth;
const cut = [...document.querySelectorAll("table, th, td, figure, pre, dl, svg")].filter((one) => {
  const { right } = one.getBoundingClientRect();
  return right > edge + 1 || (one.clientWidth && one.scrollWidth > one.clientWidth + 1);
});
document.title = `cut: ${cut.length} ${cut.slice(0, 3).map((one) => one.outerHTML.slice(0, 200))}`;
"""
PAPER = 718
"""Width of A4 in pixels, without the margins of 1 cm."""


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_on_paper_no_table_and_no_picture_is_cut(task: str, chromium: str, tmp_path: Path) -> None:
    page = write_report(build_run(tmp_path / "run", task, rows=3_000))
    pdf = tmp_path / "page.pdf"
    browse(chromium, page.as_uri(), tmp_path / "profile", f"--print-to-pdf={pdf}")
    assert pdf.read_bytes().startswith(b"%PDF") and pdf.stat().st_size > 20_000
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    text = text.replace("@media print", "@media all").replace("</body>", f"<script>{MEASURE}</script></body>")
    page.write_text(text)
    dom, _ = browse(chromium, page.as_uri(), tmp_path / "profile", "--dump-dom", f"--window-size={PAPER},2000")
    assert re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1].startswith("cut: 0 ")  # type: ignore[index]


def test_folded_rows_appear_on_a_click(chromium: str, tmp_path: Path) -> None:
    page = write_report(build_run(tmp_path / "run", rows=3_000))
    script = (
        "const one = document.querySelector('#read details'); const before = one.offsetHeight;"
        "one.querySelector('summary').click(); document.title = `${before} ${one.offsetHeight}`;"
    )
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    page.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    dom, _ = browse(chromium, page.as_uri(), tmp_path / "profile", "--dump-dom")
    before, after = map(int, re.search(r"<title>(\d+) (\d+)</title>", dom).groups())  # type: ignore[union-attr]
    assert 0 < before < 60 < 200 < after
