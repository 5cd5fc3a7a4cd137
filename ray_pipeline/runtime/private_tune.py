"""Private interfaces of Ray Train and Tune that this package uses, one function each.

`tests/runtime/test_private_ray.py` names the one that a release of Ray removes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray_pipeline.runtime.overrides import attributes, read_attribute


def data_parallel_trainer() -> Any:
    """`DataParallelTrainer` of Train V2; the public module `ray.train.data_parallel_trainer` still has that of V1."""
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    return DataParallelTrainer


def xgboost_backend() -> Any:
    """The backend that joins workers to XGBoost's collective, without the trainers that its public module imports."""
    from ray.train.v2.xgboost.config import XGBoostConfig

    return XGBoostConfig()


_COPIED, _ALWAYS = (f"ray.tune.execution.class_cache:{name}" for name in ("ENV_VARS_TO_PROPAGATE", "DEFAULT_ENV_VARS"))


@contextmanager
def no_environment_for_trials() -> Iterator[None]:
    """In the block, Tune gives trials no runtime environment, into which it copies variables of this process.

    Among them are AWS credentials, and Ray writes runtime environments to its logs and shows them on its dashboard. The
    workers of a Ray that this process has started inherit all variables; those of a cluster have the credentials of
    their node. Without an environment of its own, a trial takes a worker process that is idle, and none has to start.
    """
    with attributes.use({_COPIED: set(), _ALWAYS: {}}):
        yield


_PROGRESS = [f"ray.tune.progress_reporter:TrialProgressCallback.{name}" for name in ("log_result", "on_trial_complete")]


@contextmanager
def no_progress() -> Iterator[None]:
    """In the block, Tune's callback for progress does nothing.

    It prints nothing where `verbose` is 0, and keeps each trial, 37 KB. A callback in its place would not do: for its
    statistics of usage, Tune imports MLflow where a run has callbacks.
    """
    with attributes.use(dict.fromkeys(_PROGRESS, lambda *_, **named: None)):
        yield


_TASK_FAILED = "ray.air.execution._internal.actor_manager:RayActorManager._actor_task_failed"


@contextmanager
def memory_kills_as_deaths() -> Iterator[None]:
    """In the block, an actor that Ray's monitor of memory has ended has died for Tune, as any other that was killed.

    By default Tune raises, which ends the whole search: `OutOfMemoryError` is no `RayActorError` (Ray 2.60).
    """
    from ray.exceptions import OutOfMemoryError, RayActorError

    failed = read_attribute(_TASK_FAILED)

    def task_failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        """Tell the manager that the actor has died."""
        killed = isinstance(exception, OutOfMemoryError)
        failed(manager, tracked_actor_task, RayActorError(error_msg=str(exception)) if killed else exception)

    with attributes.use({_TASK_FAILED: task_failed}):
        yield


def keep_actors(tune_controller: Any, trial: Any, count: int) -> None:
    """Lets Tune start so many actors at once, of the trial's kind, and keep those that no trial needs at the moment.

    Tune starts one after another, and ends a reusable actor at once if no trial waits for it.
    """
    tune_controller._actor_cache.increase_max(trial.placement_group_factory, by=count)
    tune_controller.update_max_pending_trials(count)


_REUSE = "ray.tune.execution.tune_controller:TuneController._maybe_reuse_cached_actor"


@contextmanager
def actors_may_start(patience_s: float) -> Iterator[None]:
    """In the block, a trial whose actor is starting waits for it, at most so many seconds.

    By default Tune ends that actor if another becomes idle, and gives the trial to the other. Where trials take less
    time than an actor to start, all of them then run on one actor, beside processes that start and never train.
    """
    reuse, waits_since = read_attribute(_REUSE), dict[Any, float]()

    def reuse_unless_starting(tune_controller: Any, trial: Any) -> bool:
        """Whether the trial runs on an actor that was idle."""
        own, now = tune_controller._trial_to_actor.get(trial), time.monotonic()
        starts = own in tune_controller._actor_manager.live_actors
        if starts and now < waits_since.setdefault(own, now) + patience_s:
            return False
        return bool(reuse(tune_controller, trial))

    with attributes.use({_REUSE: reuse_unless_starting}):
        yield


def unwrapped(tune_controller: Any) -> Any:
    """The controller itself; Tune gives a scheduler a new wrapper at each call."""
    return tune_controller._tune_controller


ENDED_TRIALS = 100
"""Trials that have ended of which Tune knows at most."""


def forget_ended_trials(controller: Any) -> None:
    """Let Tune forget trials that have ended, whose results the journal has.

    Tune keeps 49 KB of each, and looks at all of them several times for each that begins: of 10,000 tiny trials the
    last took twice as long as the first.
    """
    busy = controller._live_trials | controller._trial_to_actor.keys()
    ended = {trial for trial in controller._trials if trial.is_finished() and trial not in busy}
    if len(ended) < ENDED_TRIALS:
        return
    controller._trials[:] = [trial for trial in controller._trials if trial not in ended]
    for trials in (controller._stopped_trials, controller._failed_trials, controller._trials_to_cache):
        trials.difference_update(ended)
    for trial in ended:
        controller._trial_metadata.pop(trial.trial_id, None)
