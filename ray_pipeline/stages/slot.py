"""A slot: a long-lived Ray Train worker that trains one trial after another. Imports, data and quantised matrix are paid for once."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune
from ray.train import ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from ray_pipeline.blocks import column, views
from ray_pipeline.choice import find
from ray_pipeline.models._base import Fitting, Job, Model
from ray_pipeline.stages.encode import Encoded

LOOKS = 4
"""How often within its patience a trial looks at its validation score."""


def model_file(trials: Path, trial: int, family: type[Model]) -> Path:
    """Where a trial's own model lies, its folder made."""
    folder = trials / f"{trial:04d}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / family.file


class Slot(tune.Trainable):  # type: ignore[misc]
    """Tune's side of a slot: `step` trains to the next rung inside Ray Train's local mode, `reset_config` takes the next trial."""

    def setup(self, config: dict[str, Any], encoded: Encoded, job: Job, metric: str, folder: str) -> None:
        """Takes the encoded blocks (zero-copy) and the first trial."""
        self.blocks, self.job, self.folder = encoded.fetch(), job, Path(folder)
        self.metric = find("metrics", metric)()
        self.held: tuple[Any, Any] | None = None
        self.reset_config(config)

    def reset_config(self, config: dict[str, Any]) -> bool:
        """The next trial: an untrained model on the data that is already here."""
        self.trial, self.rungs, self.seed = config["trial"], config["rungs"], config["seed"]
        self.family: type[Model] = find("models", config["family"])
        self.family.warm_up()  # not on the trial's clock: what a family costs is measured by it
        self.train, self.validation = (list(views(self.blocks, self.family.needs, part)) for part in ("train", "validation"))
        self.label, self.weight = column(self.validation, "label"), column(self.validation, "weight")
        self.params = config["params"]
        self.rung, self.best, self.best_rounds, self.spent = 0, -np.inf, 0, 0.0
        self.fitting: Fitting | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Trains to the next rung; the best score so far, its rounds, and whether the trial has come to its end."""
        begun = time.perf_counter()
        DataParallelTrainer(self._to_rung, scaling_config=ScalingConfig(num_workers=0)).fit()
        self.spent += time.perf_counter() - begun
        ended = self.exhausted or self.rung == len(self.rungs)
        sign = 1.0 if self.metric.better == "higher" else -1.0
        return {
            "trial": self.trial,
            "rung": self.rung - 1,
            "round": self.rungs[self.rung - 1],
            "value": sign * self.best,
            "rounds": self.best_rounds,
            "train_seconds": self.spent,
            "done": ended,
        }

    def _to_rung(self) -> None:
        if self.fitting is None:
            by = (self.family, self.family.held_by(self.params))
            if self.held is None or self.held[0] != by:
                self.held = None  # let go of the old matrix before the new one is built
                self.held = (by, self.family.hold(self.params, self.job, self.train, self.validation))
            self.fitting = self.family.begin(self.params, self.job, self.held[1], self.seed)
        patience = int(self.params[self.family.patience])
        stride = max(1, patience // LOOKS)
        target = self.rungs[self.rung]
        self.exhausted = False
        while self.fitting.rounds < target and not self.exhausted:
            self.fitting.advance(min(self.fitting.rounds + stride, target))
            self._look()
            self.exhausted = self.fitting.rounds - self.best_rounds >= patience
        self.rung += 1
        if self.exhausted or self.rung == len(self.rungs):
            self.fitting.save(model_file(self.folder, self.trial, self.family), self.best_rounds)

    def _look(self) -> None:
        assert self.fitting is not None
        value = self.metric(self.label, self.fitting.scores().astype(np.float64), self.weight)
        signed = value if self.metric.better == "higher" else -value
        if signed > self.best:
            self.best, self.best_rounds = signed, self.fitting.rounds

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a finished trial's model is a file of the run, and an unfinished one is trained again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing; see `save_checkpoint`."""
