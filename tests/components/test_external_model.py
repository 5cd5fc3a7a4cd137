"""A family by dotted name, from the spec to a registered model that is proved in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_fixture import train
from external_model_fixture import OWN, install
from tables import write_spec

from ray_pipeline.bundle_files import check_files
from ray_pipeline.checksums import SUMS, sums
from ray_pipeline.errors import RegistryError, SpecError
from ray_pipeline.spec import Spec


@pytest.mark.long
def test_a_trusted_family_of_ones_own_is_trained_and_registered(loans: Path, tmp_path: Path) -> None:
    xgboost = "model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}"
    spec = write_spec(
        loans, "own.yaml", model=f"{xgboost} => model: {{{OWN}: {{n_epochs: 4}}}}", trials="trials: 6 => trials: 2"
    )
    (tmp_path / "trusting.yaml").write_text("trust: [my_package]\n")
    command = [sys.executable, "-m", "ray_pipeline", "run", str(spec), "--json", "--quiet"]
    paths = os.pathsep.join([str(install()), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "RAY_PIPELINE_TRUST": ""}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2 and "is not trusted" in refused.stdout
    done = subprocess.run(
        [*command, "--on", "trusting.yaml"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, answer["status"], answer["family"]) == (0, "registered", OWN), answer


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class Forest:\n    pass", "is not a class that derives from ray_pipeline.components.models._base.Model"),
        (
            "from ray_pipeline.components.choice import Choice\n\n\nclass Forest(Choice):\n    pass",
            "is no model: it does not derive from ray_pipeline.components.models._base.Model",
        ),
        (
            "from ray_pipeline.components.models._base import Model\n\n\nclass Forest(Model):\n    file = 'model.txt'",
            "lacks budget, encoder, library, patience, start",
        ),
        (
            (
                "from ray_pipeline.components.models.linear import Linear\n\n\nclass Forest(Linear):\n    file ="
                " 'model.pkl'"
            ),
            "keeps its model in a file 'model.pkl'",
        ),
        (
            (
                "from ray_pipeline.components.models.linear import Linear\n\n\nclass Forest(Linear):\n    file ="
                " 'weights.bin'"
            ),
            "it must be named `model.` and the format",
        ),
    ],
)
def test_a_class_that_is_no_whole_family_is_told_what_it_lacks(
    text: str, told: str, loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"half_family_{abs(hash(text))}"
    (tmp_path / f"{package}.py").write_text(
        text.replace("    file =", "    file: ClassVar[str] =").replace("from", "from typing import ClassVar\nfrom", 1)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("RAY_PIPELINE_TRUST", "")
    xgboost = "model: {xgboost: {num_boost_round: 40, max_depth: {int: [2, 5]}, learning_rate: {log: [0.05, 0.3]}}}"
    spec = Spec.from_file(write_spec(loans, "half.yaml", model=f"{xgboost} => model: {package}.Forest"))
    with pytest.raises(SpecError) as caught:
        spec.trusting([package])
    (problem,) = caught.value.problems
    assert told in problem.found and problem.key == f"model.{package}.Forest" and problem.line


def test_a_format_of_ones_own_lies_in_the_bundle_and_nothing_beside_it(tmp_path: Path) -> None:
    bundle = train(tmp_path).bundle
    (bundle.folder / "model.ubj").rename(bundle.folder / "model.txt")
    (bundle.folder / SUMS).write_text(sums(bundle.folder))
    assert check_files(bundle.folder)
    (bundle.folder / "model.ubj").write_bytes(b"")
    with pytest.raises(RegistryError, match="is no part of a bundle"):
        check_files(bundle.folder)
