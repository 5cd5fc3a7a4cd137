"""Real processes, stopped in the middle of their search: by Ctrl-C, by SIGTERM, by SIGKILL; what they leave, and how
`resume` goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
TRIALS = 30
STARTED_S, STOPPED_S, GONE_S, WHOLE_S = 90, 20, 10, 240


def spec_at(folder: Path, loans: Path) -> Path:
    """The spec with many trials, and the tables, in a folder of its own."""
    (folder / "data").symlink_to(loans / "data")
    return write_spec(
        folder,
        trials=f"trials: 6 => trials: {TRIALS}",
        rounds="num_boost_round: 40 => num_boost_round: 150",
        register="register: {alias: challenger} => register: false",
    )


def begin(folder: Path, *argv: str) -> subprocess.Popen[str]:
    """The command line as a process, in a session of its own: a signal to it reaches no one else."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    with (folder / "stderr.txt").open("a") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "ray_pipeline", *argv, "--json"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def finish(process: subprocess.Popen[str], folder: Path, within: float = WHOLE_S) -> tuple[int, dict[str, Any]]:
    """Its exit code and its answer."""
    out, _ = process.communicate(timeout=within)
    assert "Traceback" not in out + (folder / "stderr.txt").read_text()
    return process.returncode, json.loads(out.splitlines()[-1])


def descendants(pid: int) -> dict[int, str]:
    """Every process below that one, with its start time (a number may be given out again)."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = (int(fields[1]), fields[19])
    below, grown = {pid}, True
    while grown:
        grown = bool(more := {child for child, (parent, _) in parents.items() if parent in below} - below)
        below |= more
    return {child: parents[child][1] for child in below - {pid}}


def alive(known: dict[int, str]) -> list[str]:
    """Those of the processes that still run, by their command."""
    left = []
    for pid, started in known.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[19] == started and fields[0] not in "ZX":
                left.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:120])
        except OSError:
            continue
    return left


def until_trials(folder: Path, process: subprocess.Popen[str], count: int = 3) -> Path:
    """The run's folder, once that many trials are finished."""
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        assert process.poll() is None, (folder / "stderr.txt").read_text()[-2000:]
        if len(found := list(folder.glob("runs/*/journal/trial-*.json"))) >= count:
            return found[0].parent.parent
        time.sleep(0.05)
    raise AssertionError(f"no {count} trials within {STARTED_S} s: {(folder / 'stderr.txt').read_text()[-2000:]}")


def finished_trials(run: Path) -> dict[str, tuple[bytes, int]]:
    """The records of finished trials: their bytes, and when they were written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (run / "journal").glob("trial-*.json")}


def gone(known: dict[int, str], within: float) -> list[str]:
    """What is left of the processes after that many seconds."""
    end = time.monotonic() + within
    while (left := alive(known)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_leaves_no_process_and_resumes(sent, loans, tmp_path):
    spec_at(tmp_path, loans)
    process = begin(tmp_path, "run", "loans.yaml")
    run = until_trials(tmp_path, process)
    children = descendants(process.pid)
    assert len(children) > 3  # Ray's own, and the slots
    process.send_signal(sent)
    code, answer = finish(process, tmp_path, STOPPED_S)
    assert (code, answer["exit"], answer["status"], answer["run"]) == (130, 130, "interrupted", run.name)
    (problem,) = answer["problems"]
    assert problem["stage"] == "search"
    assert f"ray-pipeline resume {run.name}" in problem["fix"]
    assert gone(children, GONE_S) == []
    assert not (run / "manifest.json").exists()
    assert not list(run.rglob("*.tmp"))
    before = finished_trials(run)
    assert 3 <= len(before) < TRIALS
    code, answer = finish(begin(tmp_path, "resume", run.name), tmp_path)
    assert (code, answer["status"], answer["run"], answer["trials"]) == (0, "unregistered", run.name, TRIALS)
    assert {name: finished_trials(run)[name] for name in before} == before
    assert (run / "manifest.json").is_file()


def test_a_killed_run_resumes_to_the_model_of_a_run_that_was_left_alone(loans, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        spec_at(folder, loans)
    process = begin(killed, "run", "loans.yaml")
    run = until_trials(killed, process)
    process.kill()  # no farewell: Ray's own processes notice later, and resume does not wait for them
    process.communicate(timeout=STOPPED_S)
    assert not (run / "manifest.json").exists()
    before = finished_trials(run)
    assert 3 <= len(before) < TRIALS
    code, answer = finish(begin(killed, "resume", run.name), killed)
    assert (code, answer["trials"]) == (0, TRIALS)
    assert {name: finished_trials(run)[name] for name in before} == before
    code, alone = finish(begin(whole, "run", "loans.yaml"), whole)
    assert code == 0
    for name in ("model/SHA256SUMS", "model/model.ubj", "model/encoder.json", "evaluation.json"):
        assert (run / name).read_bytes() == (whole / "runs" / alone["run"] / name).read_bytes(), name
