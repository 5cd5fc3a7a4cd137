"""A server of Ray is killed while a run goes on: a true message, the right exit code, and nothing left."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from command_fixture import TRIALS, begin, spec_at, until_trials
from process_fixture import descendants, left_after

pytestmark = [pytest.mark.ray, pytest.mark.long]
ENDED_S, GONE_S = 58.0, 15.0
"""After 60 s Ray itself kills the process, without an answer."""


@pytest.mark.parametrize(("server", "name"), [("gcs_server", "GCS"), ("raylet", "raylet")])
def test_a_run_whose_ray_has_died_says_so_and_can_be_resumed(
    server: str, name: str, loans: Path, tmp_path: Path, fault_seed: int
) -> None:
    draw = random.Random(f"{server} {fault_seed}")
    spec_at(tmp_path, loans)
    process = begin(tmp_path, "run", "loans.yaml")
    run = until_trials(tmp_path, process, draw.randint(1, TRIALS // 2))
    time.sleep(draw.random() * 0.2)
    children = descendants(process.pid)
    (killed,) = (
        pid
        for pid in children
        if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(f"/{server}".encode())
    )
    began = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    out, _ = process.communicate(timeout=120)
    took = time.monotonic() - began
    (line,) = out.splitlines()
    answer = json.loads(line)
    (problem,) = answer["problems"]
    assert (process.returncode, answer["exit"]) == (4, 4)
    assert f"Ray's own {name} (process {killed}) has died" in problem["found"]
    assert "ray-pipeline resume" in problem["fix"]
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()
    assert took < ENDED_S
    assert left_after(children, GONE_S) == []
    assert not list(run.rglob("*.tmp"))
