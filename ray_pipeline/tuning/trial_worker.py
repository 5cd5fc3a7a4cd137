"""One worker's side of a search: it holds its share of the rows and, on command, trains a trial one rung further."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import Fitting, Job, Model
from ray_pipeline.evaluation.latency import row_ms_of
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.shards import Share

LOOKS = 4
"""How often within its patience a trial looks at its validation score."""


@dataclass(frozen=True)
class Standing:
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
class Command:
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
    before: Standing = field(default_factory=Standing)
    """Where the trial stands; not begun yet unless said."""


class Training:
    """What a worker keeps between two commands: blocks, quantised matrix, and the model in the making."""

    def __init__(self, encoded: Encoded, job: Job, metric: str, rank: int = 0, world: int = 1) -> None:
        self.encoded, self.job, self.metric, self.rank, self.world = (
            encoded,
            job,
            find("metrics", metric)(),
            rank,
            world,
        )
        self.label, self.weight = (
            np.concatenate(arrays)
            for arrays in zip(*((b.label, b.weight) for b in self._share("validation", 1)), strict=True)
        )
        self.held: tuple[Any, Any] | None = None
        self.fitting: Fitting | None = None
        self.fitted: tuple[int, int] | None = None  # the trial and its rounds that `fitting` stands at

    def carry_out(self, command: Command) -> Standing:
        """Trains to the rung; where the trial stands then. An error of the training itself becomes `failed`, and the worker lives on."""
        try:
            return self._train(command, find("models", command.family))
        except Exception as error:
            self.held = self.fitting = self.fitted = None
            lines = str(error).strip().splitlines()
            return Standing(failed=f"{type(error).__name__}: {lines[-1][:300] if lines else 'no reason given'}")

    def _train(self, command: Command, family: type[Model]) -> Standing:
        family.warm_up()  # not on the trial's clock: what a family costs is measured by it
        begun, before = time.perf_counter(), command.before
        if self.fitting is None or not before.rounds or self.fitted != (command.trial, before.rounds):
            self.fitting = None
            data = self._hold(family, command)
            self.fitting = family.begin(dict(command.params), self.job, data, command.seed, before.state or None)
        fitting, best, best_rounds, late = self.fitting, before.best, before.best_rounds, False
        patience = int(command.params[family.patience])
        exhausted = False
        while fitting.rounds < command.rounds and not (exhausted or late):
            fitting.advance(min(fitting.rounds + max(1, patience // LOOKS), command.rounds))
            value = self._look(family, fitting)
            if value > best:
                best, best_rounds = value, fitting.rounds
            exhausted = fitting.rounds - best_rounds >= patience
            late = (
                self._all_say_late(family, time.perf_counter() - begun > command.seconds)
                if np.isfinite(command.seconds)
                else False
            )
        ended = command.last or exhausted or late
        state = (
            b"" if ended else fitting.state()
        )  # by every worker, although one would do: taking it renews what the file cannot hold
        self.fitted = (command.trial, fitting.rounds)
        model = fitting.model(best_rounds or fitting.rounds) if ended and not self.rank else b""
        return Standing(
            rounds=fitting.rounds, best=best, best_rounds=best_rounds, seconds=before.seconds + time.perf_counter() - begun, ended=ended, late=late,
            rows=self._share("train", command.every, family.needs).num_rows,
            state=b"" if self.rank else state,
            model=model,
            row_ms=row_ms_of(family, model, self._share("validation", 1, family.needs)[0].matrix[:1]) if model and command.timed else 0.0,
        )  # fmt: skip

    def _hold(self, family: type[Model], command: Command) -> Any:
        by = (family, family.held_by(dict(command.params)), command.every)
        if self.held is None or self.held[0] != by:
            self.held = None  # let go of the old matrix before the new one is built
            train, validation = (
                self._share(part, every, family.needs) for part, every in (("train", command.every), ("validation", 1))
            )
            self.held = (by, family.hold(dict(command.params), self.job, train, validation))
        return self.held[1]

    def _share(self, part: Any, every: int, needs: str | None = None) -> Share:
        if needs is None:  # labels and weights of all rows, whatever the matrix
            return Share(self.encoded, next(iter(self.encoded.encoders)), part)
        return Share(self.encoded, needs, part, rank=self.rank, world=self.world, every=every)

    def _look(self, family: type[Model], fitting: Fitting) -> float:
        total = len(self.label)
        score = family.gather(fitting.scores(), total * self.rank // self.world, total)
        value = float(self.metric(self.label, score.astype(np.float64), self.weight))
        return value if self.metric.better == "higher" else -value

    def _all_say_late(self, family: type[Model], late: bool) -> bool:
        """Whether it is late by any worker's clock: all must stop at the same look."""
        return bool(family.gather(np.array([late], np.float32), self.rank, self.world).any())
