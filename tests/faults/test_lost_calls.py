"""One in twenty of Ray's remote calls is lost, before it arrives or after: the run ends, with the same bytes."""

import json
import random
from pathlib import Path

import pytest
from command_fixture import begin, finish
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long]
LOST = 10
"""The percentage of all calls between Ray's processes that are lost: requests and answers together."""


def model_of(folder: Path, loans: Path) -> dict[str, bytes]:
    """The files of the model of a run that do not name its folder."""
    folder.mkdir()
    (folder / "data").symlink_to(loans / "data")
    write_spec(folder, register="register: {alias: challenger} => register: false")
    code, answer = finish(begin(folder, "run", "loans.yaml"), folder)
    assert code == 0, (folder / "stderr.txt").read_text()[-3000:]
    model = folder / "runs" / answer["run"] / "model"
    return {name: (model / name).read_bytes() for name in ("model.ubj", "encoder.json", "calibration.json")}


def test_lost_calls_change_no_byte(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    requests = random.Random(f"lost {fault_seed}").randint(1, LOST - 1)  # which calls, Ray draws
    lost = {"*": {"num_failures": -1, "req_failure_prob": requests, "resp_failure_prob": LOST - requests}}
    undisturbed = model_of(tmp_path / "undisturbed", loans)
    monkeypatch.setenv("RAY_testing_rpc_failure", json.dumps(lost))
    assert model_of(tmp_path / "lossy", loans) == undisturbed
