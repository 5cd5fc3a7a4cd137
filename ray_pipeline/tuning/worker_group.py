"""The workers of one slot: a Ray Train run whose loop does one step after another, until there are no more.

With one worker it is Train's local mode, in a thread of the slot; with several it is a run of its own, joined by the
family's collective. Loop and steps are the same. A worker's death restarts the group, which then asks for the step that
was never answered.
"""

import threading
import time
import uuid
from typing import Any

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.session import last_line
from ray_pipeline.tuning.mailbox import WAIT_S, Mailbox, call
from ray_pipeline.tuning.trial_step import TrialState, TrialStep
from ray_pipeline.tuning.trial_worker import TrialWorker

START_TIMEOUT_S = 60
RESTARTS = 2
STRAGGLER_S = 10.0
"""After one worker failed, the others may take so long to say so too; then they wait for it in a collective, and are
ended."""


class WorkerGroup:
    """The workers of a slot, started in the background; ready once all of them have asked for a step."""

    def __init__(self, data: dict[str, Any], layout: Layout, collective: str | None, storage: str) -> None:
        """`data` are the first parameters of `TrialWorker`: encoded rows, training context and metric."""
        self.layout = layout
        self.error: BaseException | None = None
        self.rows = data["encoded"].rows["train"]
        self.mailbox: Any = Mailbox(layout.workers)
        if layout.workers > 1:
            import ray

            options = {"num_cpus": 0, "max_concurrency": 2 * layout.workers + 2}
            self.mailbox = ray.remote(Mailbox).options(**options).remote(layout.workers)
        loop = {"mailbox": self.mailbox, "data": data}
        self.thread = threading.Thread(
            target=self._run, args=(loop, collective, storage), name="ray-pipeline-workers", daemon=True
        )
        self.thread.start()

    def run_step(self, step: TrialStep) -> TrialState:
        """Have the workers do a step together.

        Raises
        ------
        ResourceError
            The workers did not start in time, or died too often.
        RuntimeError
            They trained on fewer or more rows than there are.
        """
        self._wait_until_ready()
        number = call(self.mailbox, "post", step)
        answers: dict[int, TrialState] = {}
        failed_at: float | None = None
        while len(answers) < self.layout.workers:
            answers = call(self.mailbox, "wait", number)
            self._check_alive()
            if failed_at is None and _first_failed(answers) is not None:
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() - failed_at > STRAGGLER_S:
                break
        failed = _first_failed(answers)
        if failed is not None and len(answers) < self.layout.workers:
            raise RuntimeError(failed.failed)
        if failed is not None:
            return failed
        rows = sum(trial_state.rows for trial_state in answers.values())
        if step.every == 1 and rows != self.rows:
            raise RuntimeError(f"{self.layout.workers} workers trained on {rows:,} rows, but there are {self.rows:,}")
        return answers[0]

    def close(self) -> None:
        """End the workers."""
        call(self.mailbox, "close")
        self.thread.join(WAIT_S)

    def _wait_until_ready(self) -> None:
        """Return once every worker has come; raise `ResourceError` that names those that have not."""
        until = time.monotonic() + START_TIMEOUT_S
        while len(present := call(self.mailbox, "present")) < self.layout.workers:
            self._check_alive()
            if time.monotonic() > until:
                raise ResourceError(_not_started(self.layout, present))

    def _check_alive(self) -> None:
        if self.thread.is_alive() or self.error is None:
            return
        workers, reason = self.layout.workers, last_line(self.error)
        found = f"the {workers} workers of a trial failed {RESTARTS + 1} times: {reason}"
        fix = "free the cluster's CPUs and memory, or use one worker per trial"
        raise ResourceError(Problem(stage="search", found=found, fix=fix))

    def _run(self, loop: dict[str, Any], collective: str | None, storage: str) -> None:
        from ray.train import RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        layout, several = self.layout, self.layout.workers > 1
        scaling = ScalingConfig(num_workers=0)
        if several:
            resources = layout.worker_resources()
            scaling = ScalingConfig(num_workers=layout.workers, use_gpu=layout.gpus > 0, resources_per_worker=resources)
        name = f"group-{uuid.uuid4().hex[:8]}"
        try:
            DataParallelTrainer(
                run_worker,
                train_loop_config=loop,
                backend_config=backend(collective) if several else None,
                scaling_config=scaling,
                run_config=RunConfig(name=name, storage_path=storage, failure_config=failure_config()),
            ).fit()
        except BaseException as error:
            self.error = error


def run_worker(config: dict[str, Any]) -> None:
    """The loop of a worker: receive a step, do it, reply, until there are no more."""
    import ray.train

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    mailbox, number, worker = config["mailbox"], 0, None
    while (received := call(mailbox, "receive", rank, number)) is not None:
        number, step = received
        if step is not None:
            worker = worker or TrialWorker(**config["data"], rank=rank, world=world)
            call(mailbox, "reply", rank, number, worker.run_step(step))


def backend(collective: str | None) -> Any:
    """Ray Train's set-up of the collective that a family trains by."""
    if collective == "xgboost":
        from ray.train.v2.xgboost.config import XGBoostConfig

        return XGBoostConfig()
    if collective == "torch":
        from ray.train.torch import TorchConfig

        return TorchConfig()  # gloo on CPUs, nccl on GPUs
    return None


def failure_config() -> Any:
    """Restart a group `RESTARTS` times; Train's default is to try indefinitely."""
    from ray.train import FailureConfig

    return FailureConfig(max_failures=RESTARTS, controller_failure_limit=RESTARTS)


def _first_failed(answers: dict[int, TrialState]) -> TrialState | None:
    return next((trial_state for trial_state in answers.values() if trial_state.failed), None)


def _not_started(layout: Layout, present: set[int]) -> Problem:
    import ray

    free, each = ray.available_resources(), layout.worker_resources()
    missing = ", ".join(f"worker {rank}" for rank in range(layout.workers) if rank not in present)
    needs, has = (
        ", ".join(f"{amount:g} {name}" for name, amount in resources.items())
        for resources in (each, {name: free.get(name, 0.0) for name in each})
    )
    return Problem(
        stage="search",
        found=(
            f"{missing} of {layout.workers} did not start within {START_TIMEOUT_S} s; each needs {needs}, and the"
            f" cluster has {has} free"
        ),
        fix="wait until the cluster is free, or ask for fewer workers or trials at once",
    )
