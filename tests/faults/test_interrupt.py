"""Real processes that are stopped by Ctrl-C, SIGTERM or SIGKILL: what they leave behind, and how `resume` continues."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from process_fixture import descendants, left_after
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
TRIALS = 30
STARTED_S, STOPPED_S, GONE_S, WHOLE_S = 90, 20, 10, 240
ENDLESS = """
import sys, time
from pathlib import Path

import ray_pipeline.data.fingerprint as module

def endless(*_):
    Path("started").touch()
    while True:
        time.sleep(0.01)

module.fingerprint = endless
from ray_pipeline.cli import main

main()
"""
"""The command line with a fingerprint that is never done; it is computed in the background."""


def spec_at(folder: Path, loans: Path) -> Path:
    """A folder with the tables and a spec with many trials."""
    (folder / "data").symlink_to(loans / "data")
    return write_spec(
        folder,
        trials=f"trials: 6 => trials: {TRIALS}",
        rounds="num_boost_round: 40 => num_boost_round: 150",
        register="register: {alias: challenger} => register: false",
    )


def begin(folder: Path, *argv: str, python: Sequence[str] = ("-m", "ray_pipeline")) -> subprocess.Popen[str]:
    """The command line as a process in a session of its own, so that a signal reaches no other process."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    with (folder / "stderr.txt").open("a") as err:
        return subprocess.Popen(
            [sys.executable, *python, *argv, "--json"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def finish(process: subprocess.Popen[str], folder: Path, within: float = WHOLE_S) -> tuple[int, dict[str, Any]]:
    """The exit code and the answer."""
    out, _ = process.communicate(timeout=within)
    assert "Traceback" not in out + (folder / "stderr.txt").read_text()
    return process.returncode, json.loads(out.splitlines()[-1])


def until_trials(folder: Path, process: subprocess.Popen[str], count: int = 3) -> Path:
    """The run's folder, when so many trials are finished."""
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        assert process.poll() is None, (folder / "stderr.txt").read_text()[-2000:]
        if len(found := list(folder.glob("runs/*/journal/trial-*.json"))) >= count:
            return found[0].parent.parent
        time.sleep(0.05)
    raise AssertionError(f"no {count} trials within {STARTED_S} s: {(folder / 'stderr.txt').read_text()[-2000:]}")


def finished_trials(run: Path) -> dict[str, tuple[bytes, int]]:
    """The records of finished trials: their bytes and the times at which they were written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (run / "journal").glob("trial-*.json")}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_resumes(sent, loans, tmp_path):
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
    assert left_after(children, GONE_S) == []
    assert not (run / "manifest.json").exists()
    assert not list(run.rglob("*.tmp"))
    before = finished_trials(run)
    assert 3 <= len(before) < TRIALS
    code, answer = finish(begin(tmp_path, "resume", run.name), tmp_path)
    assert (code, answer["status"], answer["run"], answer["trials"]) == (0, "unregistered", run.name, TRIALS)
    assert {name: finished_trials(run)[name] for name in before} == before
    assert (run / "manifest.json").is_file()


def test_a_killed_run_resumes_to_the_model_of_a_run_that_nobody_killed(loans, tmp_path):
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


def test_ctrl_c_does_not_wait_for_background_work(loans, tmp_path):
    spec_at(tmp_path, loans)
    process = begin(tmp_path, "run", "loans.yaml", python=["-c", ENDLESS])
    end = time.monotonic() + STARTED_S
    while not (tmp_path / "started").exists():
        assert process.poll() is None and time.monotonic() < end, (tmp_path / "stderr.txt").read_text()[-2000:]
        time.sleep(0.05)
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    code, answer = finish(process, tmp_path, STOPPED_S)
    assert (code, answer["status"], answer["problems"][0]["stage"]) == (130, "interrupted", "profile")
    assert left_after(children, GONE_S) == []
