"""Ray's dashboard, the forwarding of its logs or the reader of standard error dies, and the run goes on."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_fixture import until_trials
from job_fixture import Cluster, head
from process_fixture import descendants
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
SERVERS = ("dashboard.py", "log_monitor.py", "monitor.py")
"""Scripts of the servers of a head that no trial needs; where an agent of a node dies, its node dies too."""
WHOLE_S = 240


def run_at(folder: Path, cluster: Cluster, errors: int) -> subprocess.Popen[str]:
    """A run on the cluster whose standard error goes to that descriptor."""
    (folder / "on.yaml").write_text(f"address: {cluster.address}\n")
    return subprocess.Popen(
        [sys.executable, "-m", "ray_pipeline", "run", "loans.yaml", "--on", "on.yaml", "--json"],
        cwd=folder,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    )


def spec_at(folder: Path, loans: Path) -> None:
    """The tables and a spec of some trials."""
    (folder / "data").symlink_to(loans / "data")
    write_spec(
        folder,
        trials="trials: 6 => trials: 12",
        rounds="num_boost_round: 40 => num_boost_round: 150",
        register="register: {alias: challenger} => register: false",
    )
    (folder / "stderr.txt").touch()


def servers(cluster: Cluster) -> dict[int, str]:
    """The servers of `SERVERS` below this process, by process id."""
    found = {}
    for pid in descendants(os.getpid()):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        name = next((name for word in command for name in SERVERS if word.endswith(f"/{name}")), None)
        if name and any(str(cluster.folder) in word for word in command):
            found[pid] = name
    return found


def parent(pid: int) -> int:
    """The process that started another one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def answer_of(process: subprocess.Popen[str]) -> dict[str, object]:
    """The JSON object that the run has printed."""
    out, _ = process.communicate(timeout=WHOLE_S)
    return dict(json.loads(out.splitlines()[-1]), exit_code=process.returncode)


def test_a_run_goes_on_without_the_dashboard_and_the_forwarding_of_logs(
    loans: Path, tmp_path: Path, fault_seed: int
) -> None:
    draw = random.Random(f"sinks {fault_seed}")
    spec_at(tmp_path, loans)
    with head(RAY_AUTH_MODE="disabled") as cluster, Path("/dev/full").open("w") as full:
        process = run_at(tmp_path, cluster, full.fileno())
        until_trials(tmp_path, process, draw.randint(1, 6))
        killed = servers(cluster)
        assert {"dashboard.py", "log_monitor.py"} <= set(killed.values())
        for watcher in {parent(pid) for pid in killed}:
            os.kill(watcher, signal.SIGSTOP)  # `ray start --block` ends the node when one of its servers dies
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        answer = answer_of(process)
    assert (answer["exit_code"], answer["status"], answer["trials"]) == (0, "unregistered", 12)


def test_a_run_goes_on_when_nobody_reads_its_standard_error(loans: Path, tmp_path: Path, fault_seed: int) -> None:
    draw = random.Random(f"reader {fault_seed}")
    spec_at(tmp_path, loans)
    reads, writes = os.pipe()
    with head(RAY_AUTH_MODE="disabled") as cluster:
        process = run_at(tmp_path, cluster, writes)
        os.close(writes)
        until_trials(tmp_path, process, draw.randint(1, 6))
        os.close(reads)
        answer = answer_of(process)
    assert (answer["exit_code"], answer["status"], answer["trials"]) == (0, "unregistered", 12)
