"""The final fit: the winner's hyperparameters on all the rows it may see, as a Ray Train run with checkpoints, on one worker or many."""

import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ray_pipeline.choice import find
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.models._base import Job
from ray_pipeline.runtime.plan import Plan
from ray_pipeline.runtime.run_folder import RunFolder
from ray_pipeline.runtime.session import last_line
from ray_pipeline.spec import Spec
from ray_pipeline.stages.digests import of_json
from ray_pipeline.stages.encode import Encoded
from ray_pipeline.stages.group import RESTARTS, backend
from ray_pipeline.stages.search import Leaderboard
from ray_pipeline.stages.share import Share
from ray_pipeline.values import Part

STATE = "state"
STRIDE = 50
"""Rounds between two states. Taking one renews what the file cannot hold, so it is taken at fixed rounds, and the bytes do not hang on time."""
CHECKPOINT_S = 30.0
"""Seconds between two checkpoints: a report waits for Train's next look."""


def fit(spec: Spec, leaderboard: Leaderboard, encoded: Encoded, job: Job, plan: Plan, folder: RunFolder) -> Path:
    """The folder of the model fitted on `fit.on`, its rounds scaled by the rows it gained over train; a fit that the journal knows is not done again.

    Raises:
        ResourceError: Ray could not start the workers, or they died too often.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    best, parts = leaderboard.best, _parts(spec)
    gained = sum(encoded.rows[part] for part in parts) / encoded.rows["train"]
    rounds = leaderboard.family.refit_rounds(best.rounds, gained)
    final, asked = folder.path / ".final", of_json([best.family, dict(best.params), rounds, list(parts), spec.seed])
    if folder.recorded("fit") == {"asked": asked, "sha256": _sha256(final / find("models", best.family).file)}:
        return final
    folder.remove(".train")  # Train resumes a run by its name; a refit is always a whole one
    resources = {**plan.worker_resources(), "CPU": plan.fit_threads}
    trainer = DataParallelTrainer(
        _train,
        train_loop_config={
            "encoded": encoded, "family": best.family, "params": dict(best.params), "rounds": rounds, "parts": parts, "seed": spec.seed,
            "job": replace(job, threads=plan.fit_threads),
        },
        backend_config=backend(leaderboard.family.collective) if plan.workers > 1 else None,
        scaling_config=ScalingConfig(num_workers=plan.workers, use_gpu=plan.gpus > 0, resources_per_worker=resources),
        run_config=RunConfig(
            name="fit", storage_path=f"{folder.address}/.train", checkpoint_config=CheckpointConfig(num_to_keep=1),
            failure_config=FailureConfig(max_failures=RESTARTS, controller_failure_limit=RESTARTS),  # Train's default is to try for ever
        ),
    )  # fmt: skip
    try:
        result = trainer.fit()
    except (ControllerError, WorkerGroupError) as error:
        wanted = f"{plan.workers} x ({', '.join(f'{amount:g} {name}' for name, amount in resources.items())})"
        raise ResourceError(
            Problem(
                stage="fit",
                found=f"the final fit, which asked for {wanted}, failed {RESTARTS + 1} times: {last_line(error)}",
                fix="free the cluster's CPUs and memory, then `ray-pipeline resume`",
            )
        ) from error
    shutil.rmtree(final, ignore_errors=True)
    result.checkpoint.to_directory(final)
    folder.remove(".train")
    folder.share(".final")
    folder.record("fit", {"asked": asked, "sha256": _sha256(final / find("models", best.family).file)})
    return final


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _parts(spec: Spec) -> tuple[Part, ...]:
    return ("train", "validation") if spec.fit.on == "train+validation" else ("train",)


def _train(config: dict[str, Any]) -> None:
    """The loop of a Train worker: train on its share of the rows, with a checkpoint now and then; the last one holds the model's file."""
    import ray.train

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    family, job, params, rounds = find("models", config["family"]), config["job"], config["params"], config["rounds"]
    family.warm_up()
    rows = Share(config["encoded"], family.needs, *config["parts"], rank=rank, world=world)
    trained, given = int(family.gather(np.array([rows.num_rows], np.float64), rank, world).sum()), sum(config["encoded"].rows[part] for part in config["parts"])
    if trained != given:
        raise RuntimeError(f"{world} workers train on {trained:,} rows, but there are {given:,}")
    fitting = family.begin(params, job, family.hold(params, job, rows, []), config["seed"], _state())
    reported = time.monotonic()
    while (stop := min((fitting.rounds // STRIDE + 1) * STRIDE, rounds)) < rounds:
        fitting.advance(stop)
        state = fitting.state()
        if family.gather(np.array([time.monotonic() - reported]), rank, world)[0] > CHECKPOINT_S:  # by the first worker's clock: all report, or none
            _report(stop, STATE, state, rank)
            reported = time.monotonic()
    fitting.advance(rounds)
    _report(rounds, family.file, fitting.model(rounds), rank)


def _state() -> bytes | None:
    """What the fit had come to before its workers were started anew."""
    import ray.train

    if (checkpoint := ray.train.get_checkpoint()) is None:
        return None
    with checkpoint.as_directory() as folder:
        return (Path(folder) / STATE).read_bytes()


def _report(rounds: int, name: str, content: bytes, rank: int) -> None:
    import tempfile

    import ray.train

    if rank:
        ray.train.report({"rounds": rounds})
        return
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / name).write_bytes(content)
        ray.train.report({"rounds": rounds}, checkpoint=ray.train.Checkpoint.from_directory(made))
