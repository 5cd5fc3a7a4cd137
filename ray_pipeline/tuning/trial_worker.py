"""One worker's side of a search: it holds its share of the rows and, on command, trains a trial one rung further."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Model, TrainingContext, TrainingState
from ray_pipeline.evaluation.latency import row_ms_of
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.shards import Shard

EVALUATIONS = 4
"""How often within its patience a trial looks at its validation score."""


@dataclass(frozen=True)
class TrialState:
    """Where a trial stands after a rung."""

    rounds: int = 0
    best: float = -np.inf
    """The best score so far, higher is better."""
    best_rounds: int = 0
    seconds: float = 0.0
    """Spent on the trial so far."""
    ended: bool = False
    """Whether nothing more is to come: its last rung, its patience or its time is at an end."""
    late: bool = False
    """Whether its time is at an end."""
    rows: int = 0
    """Rows that the worker trained on."""
    state: bytes = b""
    """What another worker needs to go on from here."""
    model: bytes = b""
    """The content of the model's file at the best round, when the trial has ended."""
    row_ms: float = 0.0
    """Milliseconds to score one row with that model, where the command asked for it."""
    failed: str = ""
    """Why the trial cannot be trained, where it cannot."""


@dataclass(frozen=True)
class TrialStep:
    """Train a trial to a rung."""

    trial: int
    family: str
    params: Mapping[str, Any]
    seed: int
    rounds: int
    """The rung, in rounds from the trial's start."""
    every: int = 1
    """Only every so many rows are trained on."""
    last: bool = True
    """Whether this is the trial's last rung."""
    seconds: float = np.inf
    """How long it may still train before it must end at its next look."""
    timed: bool = False
    """Whether the trial's model is to be timed on one row."""
    before: TrialState = field(default_factory=TrialState)
    """Where the trial stands; not begun yet unless said."""


class TrialWorker:
    """What a worker keeps between two commands: blocks, quantised matrix, and the model in the making."""

    def __init__(self, encoded: Encoded, context: TrainingContext, metric: str, rank: int = 0, world: int = 1) -> None:
        self.encoded, self.context, self.metric, self.rank, self.world = (
            encoded,
            context,
            metric_of(metric),
            rank,
            world,
        )
        self.label, self.weight = (
            np.concatenate(arrays)
            for arrays in zip(*((b.label, b.weight) for b in self._shard("validation", 1)), strict=True)
        )
        self.data: tuple[Any, Any] | None = None
        self.training: TrainingState | None = None
        self.fitted: tuple[int, int] | None = None  # the trial and its rounds that `fitting` stands at

    def run_step(self, trial_step: TrialStep) -> TrialState:
        """Trains to the rung; where the trial stands then. An error of the training itself becomes `failed`, and the
        worker lives on."""
        try:
            return self._train(trial_step, find("models", trial_step.family))
        except Exception as error:
            self.data = self.training = self.fitted = None
            lines = str(error).strip().splitlines()
            return TrialState(failed=f"{type(error).__name__}: {lines[-1][:300] if lines else 'no reason given'}")

    def _train(self, trial_step: TrialStep, family: type[Model]) -> TrialState:
        family.warm_up()  # not on the trial's clock: what a family costs is measured by it
        begun, before = time.perf_counter(), trial_step.before
        if self.training is None or not before.rounds or self.fitted != (trial_step.trial, before.rounds):
            self.training = None
            data = self._prepare_data(family, trial_step)
            self.training = family.start_training(
                dict(trial_step.params), self.context, data, trial_step.seed, before.state or None
            )
        training, best, best_rounds, late = self.training, before.best, before.best_rounds, False
        patience = int(trial_step.params[family.patience])
        exhausted = False
        while training.rounds < trial_step.rounds and not (exhausted or late):
            training.advance(min(training.rounds + max(1, patience // EVALUATIONS), trial_step.rounds))
            value = self._evaluate(family, training)
            if value > best:
                best, best_rounds = value, training.rounds
            exhausted = training.rounds - best_rounds >= patience
            late = (
                self._all_say_late(family, time.perf_counter() - begun > trial_step.seconds)
                if np.isfinite(trial_step.seconds)
                else False
            )
        ended = trial_step.last or exhausted or late
        state = (
            b"" if ended else training.state()
        )  # by every worker, although one would do: taking it renews what the file cannot hold
        self.fitted = (trial_step.trial, training.rounds)
        model = training.model(best_rounds or training.rounds) if ended and not self.rank else b""
        return TrialState(
            rounds=training.rounds,
            best=best,
            best_rounds=best_rounds,
            seconds=before.seconds + time.perf_counter() - begun,
            ended=ended,
            late=late,
            rows=self._shard("train", trial_step.every, family.encoder).num_rows,
            state=b"" if self.rank else state,
            model=model,
            row_ms=(
                row_ms_of(family, model, self._shard("validation", 1, family.encoder)[0].matrix[:1])
                if model and trial_step.timed
                else 0.0
            ),
        )

    def _prepare_data(self, family: type[Model], trial_step: TrialStep) -> Any:
        by = (family, family.data_key(dict(trial_step.params)), trial_step.every)
        if self.data is None or self.data[0] != by:
            self.data = None  # let go of the old matrix before the new one is built
            train, validation = (
                self._shard(part, every, family.encoder)
                for part, every in (("train", trial_step.every), ("validation", 1))
            )
            self.data = (by, family.prepare_data(dict(trial_step.params), self.context, train, validation))
        return self.data[1]

    def _shard(self, part: Any, every: int, needs: str | None = None) -> Shard:
        if needs is None:  # labels and weights of all rows, whatever the matrix
            return Shard(self.encoded, next(iter(self.encoded.encoders)), part)
        return Shard(self.encoded, needs, part, rank=self.rank, world=self.world, every=every)

    def _evaluate(self, family: type[Model], training: TrainingState) -> float:
        total = len(self.label)
        score = family.gather(training.scores(), total * self.rank // self.world, total)
        value = float(self.metric(self.label, score.astype(np.float64), self.weight))
        return value if self.metric.better == "higher" else -value

    def _all_say_late(self, family: type[Model], late: bool) -> bool:
        """Whether it is late by any worker's clock: all must stop at the same look."""
        return bool(family.gather(np.array([late], np.float32), self.rank, self.world).any())
