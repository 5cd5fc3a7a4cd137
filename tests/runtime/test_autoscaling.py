"""A cluster that begins without a CPU: a run waits for the autoscaler's node; where none comes, it says so in time."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from job_fixture import Cluster, head
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
NODE: dict[str, Any] = {"resources": {"CPU": 2, "object_store_memory": 150_000_000}, "node_config": {}}
REFUSED_S = 60.0
"""The longest time to a refusal after 10 s, imports and the connection included."""


def run(folder: Path, loans: Path, cluster: Cluster, more: str = "") -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a run on the cluster."""
    (folder / "data").symlink_to(loans / "data")
    (folder / "on.yaml").write_text(f"address: {cluster.address}\n{more}")
    write_spec(folder, trials="trials: 6 => trials: 2", register="register: {alias: challenger} => register: false")
    command = [sys.executable, "-m", "ray_pipeline", "run", "loans.yaml", "--on", "on.yaml", "--json"]
    done = subprocess.run(command, cwd=folder, env=cluster.environment, capture_output=True, text=True, timeout=400)
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_a_run_starts_the_first_node_of_a_cluster_and_waits_for_it(loans: Path, tmp_path: Path) -> None:
    workers = {"worker": {**NODE, "min_workers": 0, "max_workers": 1}}
    with head(cpus=0, workers=workers, RAY_AUTH_MODE="disabled") as cluster:
        code, answer = run(tmp_path, loans, cluster, "start_within: 3m\n")
    assert (code, answer["status"], answer["trials"]) == (0, "unregistered", 2), answer.get("problems")
    layout = json.loads((tmp_path / "runs" / answer["run"] / "manifest.json").read_text())["plan"]
    assert (layout["slots"], layout["fit_threads"]) == (2, 2)


def test_a_run_whose_node_never_comes_ends_after_its_deadline_with_a_message(loans: Path, tmp_path: Path) -> None:
    workers = {"worker": {**NODE, "min_workers": 0, "max_workers": 0}}
    with head(cpus=0, workers=workers, RAY_AUTH_MODE="disabled") as cluster:
        began = time.monotonic()
        code, answer = run(tmp_path, loans, cluster, "start_within: 10s\n")
        took = time.monotonic() - began
    (problem,) = answer["problems"]
    assert (code, answer["exit"]) == (4, 4)
    assert problem["found"].endswith("became free within 10s: 0 of 0 are")
    assert "start_within" in problem["fix"] and "ray-pipeline resume" in problem["fix"]
    assert 10 <= took < REFUSED_S
