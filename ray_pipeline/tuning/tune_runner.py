"""Ray Tune runs the trials of a search: it starts the slots, gives them trials, and restarts slots that died.

All decisions are those of the trial store.
"""

import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import PipelineError, Problem, ResourceError
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.private_tune import (
    actors_may_start,
    forget_ended_trials,
    keep_actors,
    memory_kills_as_deaths,
    no_environment_for_trials,
    no_progress,
    unwrapped,
)
from ray_pipeline.runtime.ray_errors import last_line, own_errors
from ray_pipeline.tuning.trainable import SlotTrainable
from ray_pipeline.tuning.trial_store import TrialStore
from ray_pipeline.tuning.trial_worker import TrialState
from ray_pipeline.tuning.worker_group import START_TIMEOUT_S, needed_and_free

MAX_DEATHS = 2
"""How often a trial's slot may die before the trial counts as failed."""
SLOT_S = 30.0
"""How long a trial waits for a slot that starts, while another is idle."""


def run_trials(
    trial_store: TrialStore, encoded: EncodedRows, context: TrainingContext, layout: Layout, storage: Path
) -> None:
    """Run the store's trials on `layout.slots` slots until it has no more.

    Raises
    ------
    ResourceError
        No slot could be started in time.
    """
    search, searcher = trial_store.spec.search, TrialSearcher(trial_store)
    slot = tune.with_parameters(
        SlotTrainable, encoded=encoded, context=context, metric=search.metric, layout=layout, storage=str(storage)
    )
    scheduler = RungScheduler(searcher, layout)
    tuner = tune.Tuner(
        tune.with_resources(slot, layout.slot_resources()),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=search.trials * (1 + MAX_DEATHS),
            max_concurrent_trials=layout.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(storage),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_DEATHS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        with (
            own_errors(),
            no_environment_for_trials(),
            no_progress(),
            memory_kills_as_deaths(),
            actors_may_start(SLOT_S),
        ):
            tuner.fit()
    except BaseException:
        # Otherwise the slots of an interrupted search keep their CPUs as long as anything refers to the exception.
        for controller in scheduler.controllers:
            controller.cleanup()
        raise


class TrialSearcher(Searcher):  # type: ignore[misc]
    """Gives Tune the trials of the store; it keeps what it knows of them by Tune's own ids."""

    def __init__(self, trial_store: TrialStore) -> None:
        super().__init__()
        self.trial_store = trial_store
        self.configs: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, Any] = {}
        self.never_begun: dict[str, int] = {}
        """Trials whose slot died before they began: the one death after which Tune does not try again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Searcher, ()  # Tune pickles it into a state that nothing reads: the journal is what resume reads

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial; None while it must wait, FINISHED where there are no more."""
        config = self.trial_store.ask()
        if config is None:
            finished = self.trial_store.over and not (self.trial_store.running or self.trial_store.paused)
            return Searcher.FINISHED if finished else None
        self.configs[trial_id] = config
        return config

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record a trial that ended without a report: its slot died."""
        trial, store = self.configs.pop(trial_id)["trial"], self.trial_store
        if trial not in store.running or trial in store.ended:
            return
        deaths = list(self.never_begun.values()).count(trial)
        if trial_id in self.never_begun and deaths <= MAX_DEATHS:
            self.trial_store.ask_again(trial)
        else:
            reason = last_line(self.errors.get(trial_id))
            self.trial_store.fail(trial, f"its worker died {MAX_DEATHS + 1} times: {reason}")


class RungScheduler(FIFOScheduler):  # type: ignore[misc]
    """Stops or continues a trial at a rung, as the store decides."""

    def __init__(self, searcher: TrialSearcher, layout: Layout) -> None:
        super().__init__()
        self.searcher, self.layout = searcher, layout
        self.controllers: set[Any] = set()
        self.failure: PipelineError | None = None
        """What ends the search: Tune itself would count it as a death of the trial, and go on."""
        self.began, self.reported = time.monotonic(), False

    def __reduce__(self) -> tuple[Any, ...]:
        return FIFOScheduler, ()

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Start all slots at once, keep them, and let Tune forget the trials that have ended.

        A slot takes some seconds to start, and one more copy of the data.
        """
        controller = unwrapped(tune_controller)
        if controller not in self.controllers:
            self.controllers.add(controller)
            keep_actors(controller, trial, self.layout.slots)
        forget_ended_trials(controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Report the trial's state to the store; return whether Tune stops or continues it."""
        try:
            return self._report(trial, result)
        except PipelineError as error:
            self.failure = error
            raise

    def _report(self, trial: Any, result: dict[str, Any]) -> str:
        self.reported = True
        if problems := result.get("problem"):
            raise problems[0]
        trial_state: TrialState = result["trial_state"].pop()
        continues = self.searcher.trial_store.report(result["trial"], result["rung"], trial_state)
        # If the slot dies, Tune starts the trial again with its configuration: from this state.
        trial.config.update({"rung": result["rung"] + 1, "before": [trial_state]} if continues else {"before": []})
        return str(self.CONTINUE if continues else self.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Report a trial's last state."""
        if result.get("trial_state"):
            self.on_trial_result(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep the reason why a slot died."""
        self.searcher.errors[trial.trial_id] = trial.get_error() or trial.get_pickled_error()
        if trial.status == "PENDING":
            self.searcher.never_begun[trial.trial_id] = self.searcher.configs[trial.trial_id]["trial"]

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the next trial.

        Raises
        ------
        ResourceError
            No slot has started in time.
        PipelineError
            A state could not be reported, for example because the disk is full.
        """
        if self.failure:
            raise self.failure
        late = not self.reported and time.monotonic() - self.began > START_TIMEOUT_S
        if late and not any(trial.status == "RUNNING" for trial in tune_controller.get_trials()):
            found = f"no slot started within {START_TIMEOUT_S} s: {needed_and_free(self.layout.slot_resources())}"
            fix = "wait until the cluster is free, or ask for less per trial"
            raise ResourceError(Problem(stage="search", found=found, fix=fix))
        return super().choose_trial_to_run(tune_controller)
