"""A slot: a long-lived group of workers that trains one trial after another.

Imports, data and the quantised matrix are loaded once for all its trials.
"""

import os
import time
from typing import Any

import numpy as np
from ray import tune

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import ResourceError
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.process_state import SETTINGS
from ray_pipeline.tuning.family_allocation import CUT_SHARES
from ray_pipeline.tuning.time_budget import seconds_of_step
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep
from ray_pipeline.tuning.worker_group import WorkerGroup


class SlotTrainable(tune.Trainable):  # type: ignore[misc]
    """The trainable of a slot: `step` trains to the next rung, `reset_config` takes the next trial."""

    def __init__(self, *given: Any, **named: Any) -> None:
        """Set what Ray and Train read from the environment: a worker of a cluster has not inherited it."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        super().__init__(*given, **named)

    def setup(
        self,
        config: dict[str, Any],
        encoded: EncodedRows,
        context: TrainingContext,
        metric: str,
        layout: Layout,
        storage: str,
    ) -> None:
        """Start the workers, which keep the encoded blocks, and take the first trial."""
        data = {"encoded": encoded, "context": context, "metric": metric}
        self.group_args = (data, layout, find("models", config["family"]).collective, storage)
        self.group: WorkerGroup | None = WorkerGroup(*self.group_args)
        self.reset_config(config)

    def reset_config(self, config: dict[str, Any]) -> bool:
        """Take the next trial: from its beginning, or from its last rung where another slot died with it."""
        self.trial = config
        self.began = time.monotonic()
        self.trial_state: TrialState = config["before"][0] if config["before"] else TrialState()
        self.rung: int = config["rung"]
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next rung.

        The result has the state in a list, and the driver takes it out: Tune keeps every result in memory.
        """
        trial, rung = self.trial["trial"], self.rung
        try:
            self.group = self.group or WorkerGroup(*self.group_args)
            self.trial_state = self.group.run_step(self._next_step())
        except ResourceError as error:
            return {"trial": trial, "rung": rung, "trial_state": [], "problem": [error], "done": True}
        except RuntimeError as error:  # the trial fails, the slot continues with new workers
            self.cleanup()
            self.group = None
            self.trial_state = TrialState(failed=str(error))
        self.rung += 1
        done = self.trial_state.ended or bool(self.trial_state.failed)
        return {"trial": trial, "rung": rung, "trial_state": [self.trial_state], "done": done}

    def _next_step(self) -> TrialStep:
        rungs, before = self.trial["rungs"], self.trial_state
        rounds, every = rungs[self.rung]
        if self.rung > 0 and every != rungs[self.rung - 1][1]:  # the last rung used a part of the rows: train anew
            before = TrialState(seconds=before.seconds)
        further = rungs[self.rung + 1][0] if self.rung + 1 < len(rungs) else rounds
        return TrialStep(
            **{name: self.trial[name] for name in ("trial", "family", "params", "seed", "timed", "keep_scores")},
            rounds=rounds,
            every=every,
            last=self.rung == len(rungs) - 1,
            seconds=min(
                self._seconds(),
                self.trial["trial_seconds"] - self.trial_state.seconds,
                np.inf if self.rung else CUT_SHARES * self.trial["share"],
            ),
            share=self.trial["share"] * rounds / further,
            before=before,
        )

    def _seconds(self) -> float:
        """Seconds for the next step, of `search.time`."""
        trial, passed = self.trial, time.monotonic() - self.began
        left, with_refit = trial["seconds"] - passed, trial["seconds_with_refit"] - passed
        return seconds_of_step(left, with_refit, trial["refit_share"], self.trial_state.seconds)

    def cleanup(self) -> None:
        """End the workers."""
        if self.group is not None:
            self.group.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: the driver keeps the state of each trial; models of finished ones are in the run folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing; see `save_checkpoint`."""
