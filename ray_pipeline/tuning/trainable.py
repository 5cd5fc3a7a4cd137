"""A slot: a long-lived group of workers that trains one trial after another. Imports, data and quantised matrix are
paid for once."""

import time
from collections.abc import Callable
from typing import Any

from ray import tune

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import ResourceError
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep
from ray_pipeline.tuning.worker_group import WorkerGroup


class SlotTrainable(tune.Trainable):  # type: ignore[misc]
    """Tune's side of a slot: `step` has the workers train to the next rung, `reset_config` takes the next trial."""

    def setup(
        self,
        config: dict[str, Any],
        encoded: Encoded,
        context: TrainingContext,
        metric: str,
        layout: Layout,
        storage: str,
    ) -> None:
        """Starts the workers, who keep the encoded blocks, and takes the first trial."""
        collective = find("models", config["family"]).collective
        self.start_group: Callable[[], WorkerGroup] = lambda: WorkerGroup(
            encoded, context, metric, layout, collective, storage
        )
        self.group: WorkerGroup | None = self.start_group()
        self.reset_config(config)

    def reset_config(self, config: dict[str, Any]) -> bool:
        """The next trial, from its beginning or, after another slot's death, from the rung it had reached."""
        self.trial = config
        self.until = time.monotonic() + config["seconds"]
        self.trial_state: TrialState = config["before"][0] if config["before"] else TrialState()
        self.rung: int = config["rung"]
        return True

    def step(self) -> dict[str, Any]:
        """Trains to the next rung: where the trial stands then. In a list, from which the driver takes it: Tune keeps
        every result."""
        rung, rungs = self.rung, self.trial["rungs"]
        rounds, every = rungs[rung]
        again = rung > 0 and every != rungs[rung - 1][1]  # the rung before was on a share of the rows
        trial_step = TrialStep(
            self.trial["trial"],
            self.trial["family"],
            self.trial["params"],
            self.trial["seed"],
            rounds,
            every,
            last=rung == len(rungs) - 1,
            timed=self.trial["timed"],
            seconds=min(self.until - time.monotonic(), self.trial["trial_seconds"] - self.trial_state.seconds),
            before=TrialState(seconds=self.trial_state.seconds) if again else self.trial_state,
        )
        try:
            self.group = self.group or self.start_group()
            self.trial_state = self.group.run_step(trial_step)
        except ResourceError as error:
            return {"trial": self.trial["trial"], "rung": rung, "standing": [], "problem": [error], "done": True}
        except RuntimeError as error:  # the trial fails, the slot lives on with new workers
            self.group = None
            self.trial_state = TrialState(failed=str(error))
        self.rung += 1
        return {
            "trial": self.trial["trial"],
            "rung": rung,
            "standing": [self.trial_state],
            "done": self.trial_state.ended or bool(self.trial_state.failed),
        }

    def cleanup(self) -> None:
        """Ends the workers."""
        if self.group is not None:
            self.group.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the driver keeps where each trial stands, and a finished trial's model is a file of the run."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing; see `save_checkpoint`."""
