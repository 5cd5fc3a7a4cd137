"""Random SIGKILLs of driver or worker, at any stage: the benchmark's own script, with few kills."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_kill.py"


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kills", [20])
def test_every_killed_run_ends_with_the_model_of_a_run_that_nobody_killed_and_with_one_version(kills: int) -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--kills",
        str(kills),
        "--seed",
        str(kills),
        "--rows",
        "1500",
        "--trials",
        "5",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2300)
    told = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, told["ok"], told["failed"]) == (0, kills, []), done.stderr[-3000:]
