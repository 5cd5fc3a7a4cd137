"""A family by dotted name, from the spec to a registered model that is proved in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from own_family import OWN, install
from tables import write_spec


@pytest.mark.long
def test_a_trusted_family_of_ones_own_is_trained_and_registered(loans: Path, tmp_path: Path) -> None:
    xgboost = "model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}"
    spec = write_spec(loans, "own.yaml", model=f"{xgboost} => model: {{{OWN}: {{n_epochs: 4}}}}", trials="trials: 6 => trials: 2")
    (tmp_path / "trusting.yaml").write_text("trust: [my_package]\n")
    command = [sys.executable, "-m", "ray_pipeline", "run", str(spec), "--json", "--quiet"]
    paths = os.pathsep.join([str(install()), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "RAY_PIPELINE_TRUST": ""}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2 and "is not trusted" in refused.stdout
    done = subprocess.run([*command, "--on", "trusting.yaml"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, answer["status"], answer["family"]) == (0, "registered", OWN), answer
