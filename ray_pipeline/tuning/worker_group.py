"""The workers of one slot: a Ray Train run whose loop carries out one command after another, until it is told that
there are no more.

With one worker it is Train's local mode, in a thread of the slot; with several a run of its own, joined by the family's
collective.
Loop and commands are the same. A worker's death restarts the group, which then asks for the command that was never
answered.
"""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.session import last_line
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep, TrialWorker

START_TIMEOUT_S = 60
RESTARTS = 2
TURN_S = 5.0
STRAGGLER_S = 10.0
"""How long after one worker failed the others may take to say so too; then they wait for it in a collective, and are
ended."""


class Mailbox:
    """Where a slot lays its commands and workers their answers; an object of the slot, or an actor where workers are
    other processes."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.changed = threading.Condition()
        self.number, self.trial_step = 0, None
        self.answers: dict[int, TrialState] = {}
        self.here: set[int] = set()
        self.closed = False

    def give(self, trial_step: Any) -> int:
        """Lays a command down; its number."""
        with self.changed:
            self.number, self.trial_step, self.answers = self.number + 1, trial_step, {}
            self.changed.notify_all()
            return self.number

    def take(self, rank: int, after: int) -> tuple[int, Any] | None:
        """The command after that number, `(after, None)` while there is none, or None when there will be no more."""
        with self.changed:
            self.here.add(rank)
            if not after and len(self.answers) < self.workers:
                # the worker is new: after another's death all must carry the command out together once more
                self.answers = {}
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.closed or self._open(rank, after), TURN_S)
            if self.closed:
                return None
            return (self.number, self.trial_step) if self._open(rank, after) else (after, None)

    def _open(self, rank: int, after: int) -> bool:
        return self.number > after and rank not in self.answers

    def answer(self, rank: int, number: int, trial_state: TrialState) -> None:
        """A worker's answer; late ones to an older command are dropped."""
        with self.changed:
            if number == self.number:
                self.answers[rank] = trial_state
                self.changed.notify_all()

    def wait(self, number: int) -> dict[int, TrialState]:
        """The answers by rank, when all are there or `TURN_S` has passed."""
        with self.changed:
            self.changed.wait_for(lambda: number != self.number or len(self.answers) == self.workers, TURN_S)
            return dict(self.answers)

    def present(self) -> set[int]:
        """Ranks of the workers that have come, after at most `TURN_S`."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.here) == self.workers, TURN_S)
            return set(self.here)

    def close(self) -> None:
        """No more commands."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class WorkerGroup:
    """The workers of a slot, started in the background and ready once all of them have asked for a command."""

    def __init__(
        self,
        encoded: Encoded,
        context: TrainingContext,
        metric: str,
        layout: Layout,
        collective: str | None,
        storage: str,
    ) -> None:
        self.layout = layout
        self.error: BaseException | None = None
        self.rows = encoded.rows["train"]
        self.mailbox: Any = Mailbox(layout.workers)
        if layout.workers > 1:
            import ray

            self.mailbox = (
                ray.remote(Mailbox).options(num_cpus=0, max_concurrency=2 * layout.workers + 2).remote(layout.workers)
            )
        loop = {"desk": self.mailbox, "encoded": encoded, "job": context, "metric": metric}
        self.thread = threading.Thread(
            target=self._run, args=(loop, collective, storage), name="ray-pipeline-group", daemon=True
        )
        self.thread.start()

    def run_step(self, trial_step: TrialStep) -> TrialState:
        """Where the trial stands after the command.

        Raises:
            ResourceError: the workers did not start in time, or died too often.
            RuntimeError: they trained on fewer or more rows than there are.
        """
        self._ready()
        number = self._call("give", trial_step)
        answers: dict[int, TrialState] = {}
        failed_at: float | None = None
        while len(answers) < self.layout.workers:
            answers = self._call("wait", number)
            self._alive()
            if failed_at is None and any(trial_state.failed for trial_state in answers.values()):
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() - failed_at > STRAGGLER_S:
                raise RuntimeError(next(trial_state.failed for trial_state in answers.values() if trial_state.failed))
        failed = next((trial_state for trial_state in answers.values() if trial_state.failed), None)
        if failed is not None:
            return failed
        rows = sum(trial_state.rows for trial_state in answers.values())
        if trial_step.every == 1 and rows != self.rows:
            raise RuntimeError(f"{self.layout.workers} workers trained on {rows:,} rows, but there are {self.rows:,}")
        return answers[0]

    def close(self) -> None:
        """Ends the workers."""
        self._call("close")
        self.thread.join(TURN_S)

    def _call(self, method: str, *given: Any) -> Any:
        return _called(self.mailbox, method, *given)

    def _ready(self) -> None:
        """Returns once every worker has come; raises `ResourceError` naming those that have not."""
        until = time.monotonic() + START_TIMEOUT_S
        while len(here := self._call("present")) < self.layout.workers:
            self._alive()
            if time.monotonic() > until:
                raise ResourceError(_not_started(self.layout, here))

    def _alive(self) -> None:
        if not self.thread.is_alive() and self.error is not None:
            raise ResourceError(
                Problem(
                    stage="search",
                    found=(
                        f"the {self.layout.workers} workers of a trial failed {RESTARTS + 1} times:"
                        f" {last_line(self.error)}"
                    ),
                    fix="free the cluster's CPUs and memory, or use one worker per trial",
                )
            )

    def _run(self, loop: dict[str, Any], collective: str | None, storage: str) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        workers = self.layout.workers
        try:
            DataParallelTrainer(
                serve,
                train_loop_config=loop,
                backend_config=backend(collective) if workers > 1 else None,
                scaling_config=ScalingConfig(
                    num_workers=workers if workers > 1 else 0,
                    use_gpu=workers > 1 and self.layout.gpus > 0,
                    resources_per_worker=self.layout.worker_resources() if workers > 1 else None,
                ),
                run_config=RunConfig(
                    name=f"group-{uuid.uuid4().hex[:8]}",
                    storage_path=storage,
                    failure_config=FailureConfig(
                        max_failures=RESTARTS, controller_failure_limit=RESTARTS
                    ),  # Train's default is to try for ever
                ),
            ).fit()
        except BaseException as error:
            self.error = error


def serve(config: dict[str, Any]) -> None:
    """The loop of a worker: takes a command, carries it out, answers, until there are no more."""
    import ray.train

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    mailbox, number, training = config["desk"], 0, None
    while (given := _called(mailbox, "take", rank, number)) is not None:
        number, trial_step = given
        if trial_step is not None:
            training = training or TrialWorker(config["encoded"], config["job"], config["metric"], rank, world)
            _called(mailbox, "answer", rank, number, training.run_step(trial_step))


def backend(collective: str | None) -> Any:
    """Ray Train's set-up of the collective that a family trains by."""
    backends: dict[str | None, Callable[[], Any]] = {None: lambda: None, "xgboost": _xgboost, "torch": _torch}
    return backends[collective]()


def _xgboost() -> Any:
    from ray.train.v2.xgboost.config import XGBoostConfig

    return XGBoostConfig()


def _torch() -> Any:
    from ray.train.torch import TorchConfig

    return TorchConfig()  # gloo on CPUs, nccl on GPUs


def _called(mailbox: Any, method: str, *given: Any) -> Any:
    if isinstance(mailbox, Mailbox):
        return getattr(mailbox, method)(*given)
    import ray

    return ray.get(getattr(mailbox, method).remote(*given))


def _not_started(layout: Layout, here: set[int]) -> Problem:
    import ray

    free, each = ray.available_resources(), layout.worker_resources()
    missing = ", ".join(f"worker {rank}" for rank in range(layout.workers) if rank not in here)
    needs, has = (
        ", ".join(f"{amount:g} {name}" for name, amount in found.items())
        for found in (each, {name: free.get(name, 0.0) for name in each})
    )
    return Problem(
        stage="search",
        found=(
            f"{missing} of {layout.workers} did not start within {START_TIMEOUT_S} s; each needs {needs}, and the"
            f" cluster has {has} free"
        ),
        fix="wait until the cluster is free, or ask for fewer workers or trials at once",
    )
