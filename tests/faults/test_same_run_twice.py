"""One run is worked on by two processes, or two runs of one name start at once: none touches the files of the other."""

import json
import random
import time
from pathlib import Path

import pytest
from command_fixture import TRIALS, begin, finish, spec_at, until_file
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
STEPS = ("begin", "data", "digest-encoder", "trial-0000")
"""The journal entries after which the second process starts."""
REFUSED_S = 30.0
"""The longest time to a refusal, imports included."""


def test_a_run_that_is_resumed_while_it_runs_is_refused_and_goes_on(
    fault_seed: int, loans: Path, tmp_path: Path
) -> None:
    draw = random.Random(f"twice {fault_seed}")
    spec_at(tmp_path, loans)
    first = begin(tmp_path, "run", "loans.yaml")
    run = until_file(tmp_path, first, f"journal/{draw.choice(STEPS)}.json")
    time.sleep(draw.random())
    began = time.monotonic()
    code, answer = finish(begin(tmp_path, "resume", run.name), tmp_path)
    assert time.monotonic() - began < REFUSED_S
    assert code == 4
    assert f"process {first.pid} on " in answer["problems"][0]["found"]
    code, answer = finish(first, tmp_path)
    assert (code, answer["run"], answer["trials"]) == (0, run.name, TRIALS)


def test_two_runs_of_one_name_that_start_at_once_share_no_file(fault_seed: int, loans: Path, tmp_path: Path) -> None:
    draw = random.Random(f"name {fault_seed}")
    (tmp_path / "data").symlink_to(loans / "data")
    write_spec(tmp_path, gate="auc >= champion - 0.2,  => ")
    started = []
    for _ in range(2):
        started.append(begin(tmp_path, "run", "loans.yaml"))
        time.sleep(draw.random())
    ended = [finish(process, tmp_path) for process in started]
    assert [code for code, _ in ended] == [0, 0], [answer.get("problems") for _, answer in ended]
    runs = [answer["run"] for _, answer in ended]
    assert len(set(runs)) == 2
    for run in runs:
        assert json.loads((tmp_path / "runs" / run / "manifest.json").read_text())["run"] == run
    models = [(tmp_path / "runs" / run / "model" / "model.ubj").read_bytes() for run in runs]
    assert models[0] == models[1]
    assert sorted(answer["version"] for _, answer in ended) == [1, 2]
