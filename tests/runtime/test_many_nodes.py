"""Three nodes of a real cluster on loopback: the run equals one on a single node, a node may be lost, and storage that
the nodes do not share is refused."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tables import write_spec

from ray_pipeline.resuming import rerun
from ray_pipeline.spec.where import Where

pytestmark = [pytest.mark.ray, pytest.mark.long]
LINGER_S = 0.3
"""The longest time from the entry of the journal to the loss of a node; short stages end soon after."""
STAGES = ["read", "split", "encoder", "trials", "model", "predictions", "metrics"]


def on_three_nodes(folder: Path, storage: str, *lose: object) -> dict:
    command = [
        sys.executable,
        str(Path(__file__).parents[1] / "nodes_run.py"),
        str(folder / "loans.yaml"),
        storage,
        *map(str, lose),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def folder(loans, tmp_path) -> Path:
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(
        tmp_path, register="register: {alias: challenger} => register: false", gate="auc >= champion - 0.2,  => "
    )
    return tmp_path


def test_three_nodes_make_the_bytes_of_one(folder, ray_local):
    answer = on_three_nodes(folder, str(folder / "runs"))
    assert (answer["exit"], answer["nodes"], answer["trials"]) == (0, 3, 6)
    layout = json.loads((folder / "runs" / answer["run"] / "manifest.json").read_text())["plan"]
    assert layout["slots"] > 1
    answer = rerun(str(folder / "runs" / answer["run"]), Where(storage=str(folder / "alone")), verify=True)
    assert (answer["status"], answer["same"]) == ("identical", STAGES)


@pytest.mark.parametrize("stage", ["read", "encode", "search", "fit", "evaluate"])
def test_a_node_is_lost_and_the_run_finishes_with_the_same_bytes(stage, fault_seed, folder, ray_local):
    linger = random.Random(f"{stage} {fault_seed}").random() * LINGER_S
    answer = on_three_nodes(folder, str(folder / "runs"), stage, linger)
    assert (answer["exit"], answer["lost"], answer["nodes"], answer["trials"]) == (0, True, 2, 6)
    answer = rerun(str(folder / "runs" / answer["run"]), Where(storage=str(folder / "alone")), verify=True)
    assert answer["status"] == "identical"


def test_a_relative_storage_is_refused_with_the_remedy(folder):
    answer = on_three_nodes(folder, "./runs")
    (problem,) = answer["problems"]
    assert (answer["exit"], problem["key"]) == (6, "storage")
    assert problem["found"] == "storage './runs' is not shared by the 3 nodes of the cluster"
    assert "s3://bucket/runs" in problem["fix"]


needs_namespaces = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"),
    reason="network namespaces need root, iproute2 and util-linux",
)


def in_namespaces(folder: Path, *fault: str) -> dict:
    command = [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        sys.executable,
        str(Path(__file__).parents[1] / "namespaces_run.py"),
        str(folder),
        *fault,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@needs_namespaces
def test_three_machines_with_addresses_of_their_own_and_nothing_shared_but_a_bucket(folder):
    answer = in_namespaces(folder)
    assert answer["nodes"] == ["10.231.7.10", "10.231.7.11", "10.231.7.12"]
    assert answer["plan"]["slots"] > 1
    assert (answer["exit"], answer["again"], answer["same"], answer["scored"]) == (0, "identical", STAGES, 6_000)


@needs_namespaces
def test_a_node_that_is_cut_off_and_comes_back_changes_no_byte(folder):
    answer = in_namespaces(folder, "cut")
    assert (answer["exit"], answer["again"], answer["same"], answer["scored"]) == (0, "identical", STAGES, 6_000)


@needs_namespaces
def test_a_node_with_a_slow_link_changes_no_byte(folder):
    answer = in_namespaces(folder, "slow")
    assert (answer["exit"], answer["again"], answer["same"], answer["scored"]) == (0, "identical", STAGES, 6_000)
