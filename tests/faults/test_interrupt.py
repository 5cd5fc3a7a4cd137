"""Real processes that are stopped by Ctrl-C, SIGTERM or SIGKILL: what they leave behind, and how `resume` continues."""

import random
import signal
import time

import pytest
from command_fixture import STARTED_S, TRIALS, begin, finish, finished_trials, spec_at, until_file, until_trials
from process_fixture import descendants, left_after

pytestmark = [pytest.mark.ray, pytest.mark.long]
STOPPED_S, TWICE_S, GONE_S = 20, 10, 10
STEPS = ("begin", "layout", "data", "profile", "digest-encoder", "trial-0000", f"trial-{TRIALS // 2:04d}", "fit_on")
"""The journal entries after which a signal comes."""
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


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_at_any_moment_ends_in_time_and_resumes(sent, fault_seed, loans, tmp_path):
    draw = random.Random(f"{sent.name} {fault_seed}")
    spec_at(tmp_path, loans)
    process = begin(tmp_path, "run", "loans.yaml")
    step, linger = draw.choice(STEPS), draw.random()
    run = until_file(tmp_path, process, f"journal/{step}.json")
    time.sleep(linger)
    children = descendants(process.pid)
    process.send_signal(sent)
    code, answer = finish(process, tmp_path, STOPPED_S)
    assert (code, answer["status"], answer["run"]) == (130, "interrupted", run.name), (step, linger)
    assert left_after(children, GONE_S) == []
    assert not list(run.rglob("*.tmp"))
    before = finished_trials(run)
    code, answer = finish(begin(tmp_path, "resume", run.name), tmp_path)
    assert (code, answer["trials"]) == (0, TRIALS), (step, linger)
    assert {name: finished_trials(run)[name] for name in before} == before


def test_a_second_ctrl_c_ends_a_run_at_once(fault_seed, loans, tmp_path):
    draw = random.Random(f"twice {fault_seed}")
    spec_at(tmp_path, loans)
    process = begin(tmp_path, "run", "loans.yaml")
    run = until_trials(tmp_path, process, draw.randint(1, TRIALS // 2))
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    time.sleep(draw.random())
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    process.communicate(timeout=TWICE_S)
    print(f"the process ended {time.monotonic() - sent:.1f} s after the last signal")
    assert process.returncode == 130
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()
    assert left_after(children, GONE_S) == []
    code, answer = finish(begin(tmp_path, "resume", run.name), tmp_path)
    assert (code, answer["trials"]) == (0, TRIALS)


def test_a_killed_run_resumes_to_the_model_of_a_run_that_nobody_killed(loans, tmp_path):
    spec_at(tmp_path, loans)
    process = begin(tmp_path, "run", "loans.yaml")
    run = until_trials(tmp_path, process)
    process.kill()  # no farewell: Ray's own processes notice later, and resume does not wait for them
    process.communicate(timeout=STOPPED_S)
    assert not (run / "manifest.json").exists()
    before = finished_trials(run)
    assert 3 <= len(before) < TRIALS
    code, answer = finish(begin(tmp_path, "resume", run.name), tmp_path)
    assert (code, answer["trials"]) == (0, TRIALS)
    assert {name: finished_trials(run)[name] for name in before} == before
    code, alone = finish(begin(tmp_path, "run", "loans.yaml"), tmp_path)
    assert code == 0
    for name in ("model/SHA256SUMS", "model/model.ubj", "model/encoder.json", "evaluation.json"):
        assert (run / name).read_bytes() == (run.parent / alone["run"] / name).read_bytes(), name


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
