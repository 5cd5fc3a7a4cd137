"""The workers of one slot: a Ray Train run whose loop does one step after another until the mailbox closes.

With one worker it is Train's local mode, in a thread of the slot; with several it is a run of its own, joined by the
family's collective. Loop and steps are the same. If a worker dies, Train restarts the group, and the group repeats the
step that has no answer yet.
"""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.private_tune import data_parallel_trainer, xgboost_backend
from ray_pipeline.runtime.ray_errors import last_line
from ray_pipeline.tuning.mailbox import WAIT_S, Mailbox, call
from ray_pipeline.tuning.trial_worker import TrialState, TrialStep, TrialWorker

START_TIMEOUT_S = 180
"""Longer than processes take to start where other programs use all cores: two workers took 46 s there."""
RESTARTS = 2
STRAGGLER_S = 10.0
"""How long the others may take to fail too after one worker failed; later they wait for it in a collective, and are
ended. If one of them has died, the failure was its loss: all begin the step again."""


class WorkerGroup:
    """The workers of a slot, started in the background; ready once all have called `receive`."""

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
        arguments = ({"mailbox": self.mailbox, "data": data}, collective, storage)
        self.thread = threading.Thread(target=self._run, args=arguments, name="ray-pipeline-workers", daemon=True)
        self.thread.start()

    def run_step(self, step: TrialStep) -> TrialState:
        """Let the workers do a step together.

        Raises
        ------
        ResourceError
            The workers did not start in time, or died too often.
        RuntimeError
            A worker failed and another hangs, or they trained on fewer or more rows than there are.
        """
        self._wait_until_ready()
        number = call(self.mailbox, "post", step)
        answers: dict[int, TrialState] = {}
        failed: TrialState | None = None
        failed_at: float | None = None
        while len(answers) < self.layout.workers:
            if failed and failed_at and self._is_given_up(time.monotonic() - failed_at):
                raise RuntimeError(failed.failed)
            answers = call(self.mailbox, "wait", number)
            self._check_alive()
            failed = next((trial_state for trial_state in answers.values() if trial_state.failed), None)
            failed_at = (failed_at or time.monotonic()) if failed else None
        if failed:
            return failed
        rows = sum(trial_state.rows for trial_state in answers.values())
        if step.every == 1 and rows != self.rows:
            raise RuntimeError(f"{self.layout.workers} workers trained on {rows:,} rows, but there are {self.rows:,}")
        return answers[0]

    def _is_given_up(self, waited_s: float) -> bool:
        """Whether those that have not answered hang; where one has died, Train starts all workers again."""
        return waited_s > START_TIMEOUT_S or (waited_s > STRAGGLER_S and not self._has_dead_worker())

    def _has_dead_worker(self) -> bool:
        import ray
        from ray.exceptions import RayActorError

        actors = call(self.mailbox, "unanswered")
        if not actors:
            return False
        asked = [actor.__ray_ready__.remote() for actor in actors]
        answers, _ = ray.wait(asked, num_returns=len(asked), timeout=WAIT_S)
        try:
            ray.get(answers)
        except RayActorError:
            return True
        return False

    def close(self) -> None:
        """End the workers: one that hangs in a step does not see that the mailbox is closed."""
        call(self.mailbox, "close")
        for actor in call(self.mailbox, "unanswered"):
            import ray

            ray.kill(actor)
        self.thread.join(WAIT_S)

    def _wait_until_ready(self) -> None:
        """Wait for all workers; raise `ResourceError` where some do not start in time."""
        until = time.monotonic() + START_TIMEOUT_S
        while len(present := call(self.mailbox, "present")) < self.layout.workers:
            self._check_alive()
            if time.monotonic() > until:
                missing = ", ".join(f"worker {rank}" for rank in range(self.layout.workers) if rank not in present)
                found = f"{missing} of {self.layout.workers} did not start within {START_TIMEOUT_S} s"
                found += f"; {needed_and_free(self.layout.worker_resources())}"
                fix = "wait until the cluster is free, or ask for fewer workers or trials at once"
                raise ResourceError(Problem(stage="search", found=found, fix=fix))

    def _check_alive(self) -> None:
        if self.error is not None and not self.thread.is_alive():
            reason = f"failed {RESTARTS + 1} times: {last_line(self.error)}"
            found = f"the {self.layout.workers} workers of a trial {reason}"
            fix = "free the cluster's CPUs and memory, or use one worker per trial"
            raise ResourceError(Problem(stage="search", found=found, fix=fix))

    def _run(self, loop: dict[str, Any], collective: str | None, storage: str) -> None:
        try:
            trainer(run_worker, loop, self.layout, self.layout.worker_resources(), collective, storage).fit()
        except BaseException as error:
            self.error = error


def run_worker(config: dict[str, Any]) -> None:
    """The loop of a worker: receive a step, do it, reply, until there are no more."""
    import ray.train

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    mailbox, number, worker = config["mailbox"], 0, None
    if world > 1:
        call(mailbox, "join", rank, ray.get_runtime_context().current_actor)
    while (received := call(mailbox, "receive", rank, number)) is not None:
        number, step = received
        if step is not None:
            worker = worker or TrialWorker(**config["data"], rank=rank, world=world)
            call(mailbox, "reply", rank, number, worker.run_step(step))


def trainer(
    loop: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    layout: Layout,
    resources: dict[str, float],
    collective: str | None,
    storage: str,
) -> Any:
    """Make Ray Train's trainer for `layout.workers` workers, which restarts them `RESTARTS` times.

    With one worker it is Train's local mode: the loop runs in the thread that calls `fit`.

    Parameters
    ----------
    loop
        The loop of each worker.
    config
        The argument of the loop.
    layout
        Says how many workers there are, and whether they have GPUs.
    resources
        Ray resources of each worker.
    collective
        The collective that the family trains by: `xgboost`, `torch` or None.
    storage
        The folder or bucket of Train's own files.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig

    scaling, backend = ScalingConfig(num_workers=0), None
    if layout.workers > 1:
        scaling = ScalingConfig(num_workers=layout.workers, use_gpu=layout.gpus > 0, resources_per_worker=resources)
        backend = _backend(collective, layout)
    name = f"train-{uuid.uuid4().hex[:8]}"  # Train would resume a run of the same name from its own pickled state
    failures = FailureConfig(max_failures=RESTARTS, controller_failure_limit=RESTARTS)  # the default has no limit
    return data_parallel_trainer()(
        loop,
        train_loop_config=config,
        backend_config=backend,
        scaling_config=scaling,
        run_config=RunConfig(name=name, storage_path=storage, failure_config=failures),
    )


def _backend(collective: str | None, layout: Layout) -> Any:
    if collective == "xgboost":
        return xgboost_backend()
    if collective == "torch":
        from ray.train.torch import TorchConfig

        # Some sums are of numbers in main memory, which NCCL alone refuses; and it refuses a GPU that workers share.
        return TorchConfig(backend="cpu:gloo,cuda:nccl" if layout.gpus >= 1 else "gloo")
    return None


def needed_and_free(resources: dict[str, float]) -> str:
    """Say what each worker or slot needs, and what the cluster has free."""
    import ray

    available = ray.available_resources()
    free = {name: available.get(name, 0.0) for name in resources}
    needed, has = (", ".join(f"{amount:g} {name}" for name, amount in some.items()) for some in (resources, free))
    return f"each needs {needed}, and the cluster has {has} free"
