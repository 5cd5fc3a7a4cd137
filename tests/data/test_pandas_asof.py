"""pandas' own tests of its as-of join pass with ours in its place, but for those named here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from pandas_asof_adapter import TESTS

DEVIATIONS = {
    "test_with_duplicates_no_on": "of rows with one key and time, the content decides and not the order of the files",
    "test_by_nullable[UInt64]": "a key above 2^63 - 1 is refused",
}
"""Tests of pandas that our join does not pass, and why."""


def test_pandas_tests_pass_with_our_join(tmp_path: Path) -> None:
    tests = Path(__file__).parent.parent
    counts = tmp_path / "counts.json"
    path = os.pathsep.join([str(tests), str(tests.parent)])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "pandas_asof_adapter",
            "-p",
            "no:cacheprovider",
            "-q",
            "--pyargs",
            TESTS,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "ASOF_COUNTS": str(counts), "PYTEST_ADDOPTS": ""},
        check=False,
    )
    failed = {name.partition("::")[2] for name in re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)}
    assert {name.rpartition("::")[2] for name in failed} == {*DEVIATIONS}, done.stdout[-3000:]
    assert json.loads(counts.read_text())["joined"] >= 90
