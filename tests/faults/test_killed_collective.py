"""One of two workers of a trial, and then of the final fit, is killed between two collectives: the run goes on."""

import random
from pathlib import Path

import pytest
from command_fixture import begin, finish
from tables import write_spec

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]
FAMILY = """
import os
import signal
from pathlib import Path

import ray.train

from ray_pipeline.components.models.xgboost import XGBoost


class Dying(XGBoost):
    # One worker dies once in a trial and once in the final fit, after a round of its own: the other one waits for it.
    @classmethod
    def start_training(cls, params, context, data, seed, state=None):
        training = super().start_training(params, context, data, seed, state)
        part, train = "trial" if data.validation else "fit", training.advance
        died, again = (Path(os.environ["DIES"], f"{part}-{what}") for what in ("died", "again"))
        if died.exists():
            again.touch()

        def advance(rounds):
            is_chosen = ray.train.get_context().get_world_rank() == int(os.environ["DIES_RANK"])
            place = int(os.environ["DIES_AT"])
            if is_chosen and training.rounds < place < rounds and not died.exists():
                train(place)
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            train(rounds)

        training.advance = advance
        return training
"""
AGAIN_S = 60.0
"""Within this time after the death both workers train again."""
NAMES = ("model/model.ubj", "model/encoder.json", "model/calibration.json", "evaluation.json")


def run(folder: Path, loans: Path, dies: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a whole run with that family, on two workers."""
    folder.mkdir()
    (folder / "dying.py").write_text(FAMILY)
    (folder / "on.yaml").write_text("workers_per_trial: 2\ntrust: [dying]\n")
    (folder / "data").symlink_to(loans / "data")
    write_spec(
        folder,
        trials="trials: 6 => trials: 2",
        family="model: {xgboost: => fit: {on: train+validation}\nmodel: {dying.Dying:",
        register="register: {alias: challenger} => register: false",
    )
    monkeypatch.setenv("DIES", str(dies))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parents[2]}")
    code, answer = finish(begin(folder, "run", "loans.yaml", "--on", "on.yaml"), folder, 400)
    assert code == 0, (answer["problems"], (folder / "stderr.txt").read_text()[-3000:])
    return folder / "runs" / answer["run"]


def test_a_worker_that_is_killed_between_two_collectives_costs_no_byte(
    loans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_seed: int
) -> None:
    draw = random.Random(f"collective {fault_seed}")
    monkeypatch.setenv("DIES_RANK", str(draw.randrange(2)))
    monkeypatch.setenv("DIES_AT", str(draw.randint(1, 4)))
    dies, never = tmp_path / "dies", tmp_path / "never"
    for folder in (dies, never):
        folder.mkdir()
    for part in ("trial", "fit"):
        (never / f"{part}-died").touch()
    whole = run(tmp_path / "whole", loans, never, monkeypatch)
    disturbed = run(tmp_path / "disturbed", loans, dies, monkeypatch)
    for name in NAMES:
        assert (disturbed / name).read_bytes() == (whole / name).read_bytes(), name
    for part in ("trial", "fit"):
        died, again = (dies / f"{part}-{what}" for what in ("died", "again"))
        passed = again.stat().st_mtime - died.stat().st_mtime
        print(f"{part}: both train again after {passed:.1f} s")
        assert 0 <= passed < AGAIN_S, part
