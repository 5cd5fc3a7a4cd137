"""Standard error that is full or that nobody reads: the answer and the exit code stay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("sink", ["full", "gone"])
def test_a_verb_answers_although_its_messages_reach_nobody(sink: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("name: x\ntask: binar\n")
    reads, pipe = os.pipe()
    errors = os.open("/dev/full", os.O_WRONLY) if sink == "full" else os.dup(pipe)
    for descriptor in (reads, pipe):
        os.close(descriptor)
    done = subprocess.run(
        [sys.executable, "-m", "ray_pipeline", "check", "spec.yaml", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        check=False,
    )
    os.close(errors)
    (line,) = done.stdout.splitlines()
    assert (done.returncode, json.loads(line)["exit"]) == (2, 2)
