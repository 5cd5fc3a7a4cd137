"""What Ray Tune does for a search: it starts the slots, carries trials to them and their standing back, and restarts
what died. It decides nothing."""

import time
from pathlib import Path
from typing import Any

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.session import last_line, own_errors
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.trial_store import TrialStore
from ray_pipeline.tuning.trial_worker import TrialState

DEATHS = 2
"""How often a trial's slot may die before the trial counts as failed."""
START_TIMEOUT_S = 60


def run_trials(
    spec: Spec, encoded: Encoded, context: TrainingContext, layout: Layout, trial_store: TrialStore, storage: Path
) -> None:
    """Runs the keeper's trials on `layout.slots` slots until it has no more.

    Raises:
        ResourceError: no slot could be started in time.
    """
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler
    from ray.tune.search import Searcher

    from ray_pipeline.tuning.trainable import SlotTrainable

    class Proposer(Searcher):  # type: ignore[misc]
        """Tune asks, the keeper answers."""

        def __reduce__(self) -> tuple[Any, ...]:
            return Searcher, ()  # Tune pickles its parts into a state that nobody reads: the journal is the truth

        def suggest(self, trial_id: str) -> Any:
            config = trial_store.ask()
            if config is None:
                return Searcher.FINISHED if trial_store.over and not trial_store.running else None
            configs[trial_id] = config
            return config

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            trial = configs[trial_id]["trial"]
            if trial not in trial_store.running:
                return
            if trial_id in unborn and list(unborn.values()).count(trial) <= DEATHS:
                trial_store.ask_again(trial)
            else:
                trial_store.failed(trial, f"its worker died {DEATHS + 1} times: {last_line(errors.get(trial_id))}")

    class Judge(FIFOScheduler):  # type: ignore[misc]
        """Stops a trial at a rung, or lets it go on."""

        def __reduce__(self) -> tuple[Any, ...]:
            return FIFOScheduler, ()

        def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
            if tune_controller not in controllers:
                controllers.add(tune_controller)
                # Tune ends a reusable actor that finds no trial waiting at that instant; a new slot would take 5 s and
                # one more copy of the data.
                tune_controller._actor_cache.increase_max(trial.placement_group_factory, by=layout.slots)

        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            heard.append(time.monotonic())
            if problems := result.get("problem"):
                raise problems[0]
            trial_state: TrialState = result["standing"].pop()
            goes_on = trial_store.report(result["trial"], result["rung"], trial_state)
            # Should the slot die, Tune starts the trial anew with its configuration: from here.
            trial.config.update({"rung": result["rung"] + 1, "before": [trial_state]} if goes_on else {"before": []})
            return str(self.CONTINUE if goes_on else self.STOP)

        def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
            if result.get("standing"):
                self.on_trial_result(tune_controller, trial, result)

        def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
            errors[trial.trial_id] = trial.get_error() or trial.get_pickled_error()
            if (
                trial.status == "PENDING"
            ):  # its slot died waiting for it: the one death after which Tune does not try again
                unborn[trial.trial_id] = configs[trial.trial_id]["trial"]

        def choose_trial_to_run(self, tune_controller: Any) -> Any:
            if (
                not heard
                and not any(trial.status == "RUNNING" for trial in tune_controller.get_trials())
                and time.monotonic() - begun > START_TIMEOUT_S
            ):
                raise ResourceError(_not_started(layout))
            return super().choose_trial_to_run(tune_controller)

    configs: dict[str, dict[str, Any]] = {}
    errors: dict[str, Any] = {}
    unborn = dict[str, int]()
    controllers = set[Any]()
    begun, heard = time.monotonic(), list[float]()
    slot = tune.with_parameters(
        SlotTrainable, encoded=encoded, context=context, metric=spec.search.metric, layout=layout, storage=str(storage)
    )
    tuner = tune.Tuner(
        tune.with_resources(slot, layout.slot_resources()),
        tune_config=tune.TuneConfig(
            search_alg=Proposer(),
            scheduler=Judge(),
            num_samples=spec.search.trials * (1 + DEATHS),
            max_concurrent_trials=layout.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(storage),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=DEATHS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        with own_errors():
            tuner.fit()
    except BaseException:
        # Left alone, the slots of a search that was interrupted would hold their CPUs as long as anything remembers the
        # exception.
        for controller in controllers:
            controller.cleanup()
        raise


def _not_started(layout: Layout) -> Problem:
    import ray

    free, needs = ray.available_resources(), layout.slot_resources()
    asked, has = (
        ", ".join(f"{amount:g} {name}" for name, amount in found.items())
        for found in (needs, {name: free.get(name, 0.0) for name in needs})
    )
    return Problem(
        stage="search",
        found=f"no slot started within {START_TIMEOUT_S} s: each needs {asked}, and the cluster has {has} free",
        fix="wait until the cluster is free, or ask for less per trial",
    )
