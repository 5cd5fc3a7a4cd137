"""The report: its size, the seconds to write it, and the milliseconds until headless Chromium has loaded it.

usage: bench_report.py [--columns N] [--slices N] [--rows N] [--opened N]   -> one JSON line

The run folder is made up: a finding and an importance for each column, and slices of five columns. Each load is from
disk, in a new browser process. The result has the median and the slowest load, up to the end of the load event
(`PerformanceNavigationTiming.loadEventEnd`, which does not include the start of the browser).
"""

import argparse
import base64
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from report_fixture import build_run

from ray_pipeline.report import write_report

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--window-size=1200,3000",
    "--timeout=10000",
    "--dump-dom",
)
TIMED = (
    "addEventListener('load',()=>setTimeout("
    "()=>{document.title=performance.getEntriesByType('navigation')[0].loadEventEnd},0));"
)


def wide_run(folder: Path, columns: int, slices: int, rows: int) -> Path:
    """Writes a complete run folder of a binary task with that many columns and slices, five metrics each."""
    rng = np.random.default_rng(0)
    build_run(folder, rows=rows)
    names = [f"feature_table.column_{i:03d}" for i in range(columns)]

    def write(file: str, rows: object) -> None:
        (folder / file).write_text(json.dumps(rows))

    finding = {
        "check": "missing_with_label",
        "severity": "medium",
        "rows": 36_219,
        "found": "11.1 % null, and the label rate there is 0.41 against 0.22",
        "fix": "impute it",
    }
    write("checks.json", [{**finding, "column": name} for name in names])
    write(
        "explain.json",
        {
            "method": "shuffled",
            "rows": 1000,
            "importance": [
                {"column": name, "value": 1 / (i + 1), "low": 0.0, "high": 1.0} for i, name in enumerate(names)
            ],
        },
    )
    evaluation = [row for row in json.loads((folder / "evaluation.json").read_text()) if not row["slice"]]
    for i in range(slices):
        for row in [row for row in evaluation if not row["slice"]]:
            value = row["value"] + rng.normal(0, 0.02)
            evaluation.append(
                {
                    **row,
                    "slice": {f"column_{i % 5}": f"value {i}"},
                    "value": value,
                    "low": value - 0.03,
                    "high": value + 0.03,
                    "rows": int(rng.integers(200, 2000)),
                }
            )
    write("evaluation.json", evaluation)
    return folder


def opened(page: Path, chromium: str) -> float:
    """Milliseconds from navigation to the end of the load event, measured by the browser itself."""
    text = page.read_text()
    script = text[text.index("<script>") + len("<script>") : text.index("</script>")]
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (script, script + TIMED)]
    timed = page.with_name("timed.html")
    timed.write_text(text.replace(digests[0], digests[1]).replace(script, script + TIMED))
    with tempfile.TemporaryDirectory() as profile:
        ran = subprocess.run(
            [chromium, *FLAGS, f"--user-data-dir={profile}", timed.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    title = re.search(r"<title>([\d.]+)</title>", ran.stdout)
    if title is None:
        raise SystemExit("the browser did not report when the page had loaded")
    return float(title[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in (("--columns", 100), ("--slices", 50), ("--rows", 50_000), ("--opened", 5)):
        parser.add_argument(option, type=int, default=default)
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("this needs a browser: apt-get install -y chromium")
    with tempfile.TemporaryDirectory() as folder:
        run = wide_run(Path(folder, "run"), asked.columns, asked.slices, asked.rows)
        begun = time.perf_counter()
        page = write_report(run)
        seconds = time.perf_counter() - begun
        loads = [opened(page, chromium) for _ in range(asked.opened)]
        megabytes = page.stat().st_size / 1e6
    sizes = {
        "columns": asked.columns,
        "slices": asked.slices,
        "rows": asked.rows,
        "megabytes": round(megabytes, 2),
        "write_seconds": round(seconds, 2),
    }
    machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
    print(
        json.dumps(
            {
                "benchmark": "report",
                **sizes,
                "load_ms": round(statistics.median(loads)),
                "load_ms_max": round(max(loads)),
                "machine": machine,
            }
        )
    )


if __name__ == "__main__":
    main()
