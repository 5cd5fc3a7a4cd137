"""A run changes nothing in the process of the one who called it, be Ray its own or the caller's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tables import write_spec

SCRIPT = Path(__file__).parents[1] / "process_state_run.py"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("ray_is", ["own", "attached"])
def test_a_run_leaves_its_process_as_it_was(ray_is: str, loans: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(loans / "data")
    spec = write_spec(tmp_path, trials="trials: 6 => trials: 2")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), ray_is, str(spec), str(tmp_path / "runs")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["changed"] == []
    assert answer["same data context"]
    assert (answer["status"], answer["ray runs"]) == ("registered", ray_is == "attached")
