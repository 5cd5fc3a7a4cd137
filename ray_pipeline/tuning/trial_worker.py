"""One worker of a slot: it keeps its shard of the rows and trains a trial to the next rung, step by step.

A slot sends a `TrialStep`, the worker answers with a `TrialState`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Model, Scores, TrainingContext, TrainingState
from ray_pipeline.components.models._scores import refuse_other_scores
from ray_pipeline.errors import PipelineError
from ray_pipeline.evaluation.latency import row_ms_of
from ray_pipeline.heartbeat import heartbeats
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.redaction import redacted
from ray_pipeline.runtime.private_ray import session_folder
from ray_pipeline.unexpected import one_line
from ray_pipeline.values import Part

MIN_STEP_S = 1.0
"""A trial trains so long towards its next evaluation, even if it has no time: otherwise its model is useless."""
EVALUATIONS = 4
"""How often a trial is evaluated on validation within its patience."""


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """The state of a trial after a rung."""

    rounds: int = 0
    best: float = -np.inf
    """The best score so far; higher is better."""
    best_rounds: int = 0
    seconds: float = 0.0
    """Spent on the trial so far."""
    ended: bool = False
    """Whether the trial stops training: at its last rung, or since its patience or its time has run out."""
    late: bool = False
    """Whether its time has run out."""
    pauses: bool = False
    """Whether it would take more than its share until its next rung."""
    rows: int = 0
    """Rows that the worker trained on."""
    state: bytes = b""
    """What another worker needs to continue from here."""
    model: bytes = b""
    """The content of the model's file at the best round, once the trial has ended or pauses."""
    row_ms: float = 0.0
    """Milliseconds to score one row with that model; 0 unless the step is `timed`."""
    scores: NDArray[np.float32] | None = None
    """The scores of all validation rows at the best round; None unless the step asks for them."""
    failed: str = ""
    """The reason why the trial cannot be trained; empty where it can."""


@dataclass(frozen=True, kw_only=True)
class TrialStep:
    """A request to train a trial to a rung."""

    trial: int
    family: str
    params: Mapping[str, Any]
    seed: int
    rounds: int
    """The rung, in rounds from the trial's start."""
    every: int = 1
    """Train on every so many rows only."""
    last: bool = True
    """Whether this is the trial's last rung."""
    seconds: float = np.inf
    """Seconds left; a trial that needs more ends at its next evaluation."""
    share: float = np.inf
    """Seconds of the whole trial from which on it pauses after this step."""
    timed: bool = False
    """Whether the trial's model is timed on one row."""
    keep_scores: bool = False
    """Whether the state has the scores of validation."""
    before: TrialState = field(default_factory=TrialState)
    """The state that the trial continues from; its beginning unless given."""


class TrialWorker:
    """A worker with what it keeps between two steps: blocks, quantised matrix, and the unfinished model."""

    def __init__(
        self, encoded: EncodedRows, context: TrainingContext, metric: str, rank: int = 0, world: int = 1
    ) -> None:
        self.encoded, self.context, self.rank, self.world = encoded, context, rank, world
        self.metric = metric_of(metric)
        validation = list(Shard(encoded, next(iter(encoded.encoders)), "validation"))  # of all workers
        self.label = np.concatenate([block.label for block in validation])
        self.weight = np.concatenate([block.weight for block in validation])
        self.data: tuple[Any, Any] | None = None
        """The result of `prepare_data` and its key: trials of the same key share it."""
        self.training: TrainingState | None = None
        self.trained: tuple[int, int] | None = None
        """The trial of `training`, and its rounds so far."""

    def run_step(self, step: TrialStep) -> TrialState:
        """Train to the rung; an error of the training becomes `failed`, and the worker stays usable."""
        try:
            with heartbeats(session_folder()):
                return self._train(step, find("models", step.family))
        except Exception as error:
            self.data = self.training = self.trained = None
            return TrialState(failed=_why(error))

    def _train(self, step: TrialStep, family: type[Model]) -> TrialState:
        family.warm_up()  # before the trial's clock: a family's cost is measured by it
        began, before = time.perf_counter(), step.before
        training = self._training(step, family)
        best, best_rounds, exhausted, late = before.best, before.best_rounds, False, False
        best_scores = before.scores
        patience = int(step.params[family.patience])
        while training.rounds < step.rounds and not (exhausted or late):
            goal = min(training.rounds + max(1, patience // EVALUATIONS), step.rounds)
            self._advance(training, goal, began + step.seconds)
            score, scores = self._evaluate(family, training)
            if score > best:
                best, best_rounds = score, training.rounds
                best_scores = scores.astype(np.float32) if step.keep_scores and not self.rank else None
            exhausted = training.rounds - best_rounds >= patience
            out_of_time = training.rounds < goal or time.perf_counter() - began > step.seconds
            late = np.isfinite(step.seconds) and self._late(family, out_of_time)
        ended, seconds = step.last or exhausted or late, before.seconds + time.perf_counter() - began
        pauses = not ended and seconds > step.share
        # Every worker takes the state, although one is enough: taking it resets what the state does not contain.
        state = b"" if ended else training.state()
        self.trained = (step.trial, training.rounds)
        has_model = (ended or pauses) and not self.rank
        model = training.model(best_rounds or training.rounds) if has_model else b""
        return TrialState(
            rounds=training.rounds,
            best=best,
            best_rounds=best_rounds,
            seconds=before.seconds + time.perf_counter() - began,
            ended=ended,
            late=late,
            pauses=pauses,
            rows=self._shard("train", family, step.every).num_rows,
            state=b"" if self.rank else state,
            model=model,
            row_ms=self._row_ms(family, model) if model and step.timed else 0.0,
            scores=best_scores,
        )

    def _advance(self, training: TrainingState, goal: int, until: float) -> None:
        """Train to the goal, or as many rounds as end before `until`; at least one, and for `MIN_STEP_S`.

        Several workers train to the goal: they must stop at the same round.
        """
        if self.world == 1 and np.isfinite(until):
            began, first = time.perf_counter(), training.rounds
            training.advance(first + 1)
            now = time.perf_counter()
            left = max(until, began + MIN_STEP_S) - now
            goal = min(goal, training.rounds + max(0, int(left / max(now - began, 1e-6))))
        training.advance(goal)

    def _training(self, step: TrialStep, family: type[Model]) -> TrainingState:
        """The unfinished model at the state where the step begins."""
        if self.training is None or not step.before.rounds or self.trained != (step.trial, step.before.rounds):
            self.training = None
            data, params = self._prepare_data(family, step), dict(step.params)
            self.training = family.start_training(params, self.context, data, step.seed, step.before.state or None)
        return self.training

    def _prepare_data(self, family: type[Model], step: TrialStep) -> Any:
        params = dict(step.params)
        key = (family, family.data_key(params), step.every)
        if self.data is None or self.data[0] != key:
            self.data = None  # release the old matrix before the new one is built
            train, validation = self._shard("train", family, step.every), self._shard("validation", family)
            self.data = (key, family.prepare_data(params, self.context, train, validation))
        return self.data[1]

    def _shard(self, part: Part, family: type[Model], every: int = 1) -> Shard:
        return Shard(self.encoded, family.encoder, part, rank=self.rank, world=self.world, every=every)

    def _row_ms(self, family: type[Model], model: bytes) -> float:
        return row_ms_of(family, model, self._shard("validation", family)[0].matrix[:1])

    def _evaluate(self, family: type[Model], training: TrainingState) -> tuple[float, Scores]:
        """The worth of the model on all validation rows, higher is better, and its scores of them."""
        total, scores = len(self.label), training.scores()
        shard = self._shard("validation", family)
        refuse_other_scores(scores, shard.num_rows, self.context.task, self.context.num_classes)
        score = family.gather(scores, total * self.rank // self.world, total)
        value = float(self.metric(self.label, score.astype(np.float64), self.weight))
        return self.metric.sign * value, score

    def _late(self, family: type[Model], late: bool) -> bool:
        """Whether any worker is late: all must stop at the same evaluation."""
        return bool(family.gather(np.array([late], np.float32), self.rank, self.world).any())


def _why(error: Exception) -> str:
    """Why a trial failed, in a line."""
    if isinstance(error, PipelineError):
        return one_line(error)
    lines = str(error).partition("Stack trace:")[0].strip().splitlines()  # XGBoost adds one of C++
    return f"{type(error).__name__}: {redacted(lines[-1])[:300] if lines else 'no reason given'}"
