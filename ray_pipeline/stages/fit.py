"""The final fit: the winner's hyperparameters on all the rows it may see, as a Ray Train run with a checkpoint."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from ray_pipeline.choice import find
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.models._base import Job
from ray_pipeline.runtime.plan import Plan
from ray_pipeline.runtime.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.stages.digests import of_json
from ray_pipeline.stages.encode import Encoded
from ray_pipeline.stages.search import Leaderboard
from ray_pipeline.values import Part

START_TIMEOUT_S = 60
RESTARTS = 2


def fit(spec: Spec, leaderboard: Leaderboard, encoded: Encoded, job: Job, plan: Plan, folder: RunFolder) -> Path:
    """The folder of the model fitted on `fit.on`, its rounds scaled by the rows it gained over train; a fit that the journal knows is not done again.

    Raises:
        ResourceError: Ray could not start the worker, or it died too often.
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
    storage = folder.path / ".train"
    shutil.rmtree(storage, ignore_errors=True)  # Train resumes a run by its name; a refit is always a whole one
    trainer = DataParallelTrainer(
        _train,
        train_loop_config={"encoded": encoded, "family": best.family, "params": dict(best.params), "rounds": rounds, "parts": parts, "seed": spec.seed, "job": job},
        scaling_config=ScalingConfig(num_workers=1, use_gpu=plan.gpus > 0, resources_per_worker={"CPU": plan.fit_threads}),
        run_config=RunConfig(
            name="fit", storage_path=str(storage), checkpoint_config=CheckpointConfig(num_to_keep=1),
            failure_config=FailureConfig(max_failures=RESTARTS, controller_failure_limit=RESTARTS),  # Train's default is to try for ever
        ),
    )  # fmt: skip
    try:
        result = trainer.fit()
    except (ControllerError, WorkerGroupError) as error:
        cause = str(error).strip().splitlines()[-1]
        raise ResourceError(
            Problem(
                stage="fit", found=f"the final fit failed {RESTARTS + 1} times: {cause}", fix="free the cluster's CPUs and memory, then `ray-pipeline resume`"
            )
        ) from error
    shutil.rmtree(final, ignore_errors=True)
    result.checkpoint.to_directory(final)
    shutil.rmtree(storage, ignore_errors=True)
    folder.share(".final")
    folder.record("fit", {"asked": asked, "sha256": _sha256(final / find("models", best.family).file)})
    return final


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _parts(spec: Spec) -> tuple[Part, ...]:
    return ("train", "validation") if spec.fit.on == "train+validation" else ("train",)


def _train(config: dict[str, Any]) -> None:
    """The loop of the Train worker: fetch the blocks, train, hand in the model as a checkpoint."""
    import tempfile

    import ray.train

    from ray_pipeline.blocks import views

    family, job, params = find("models", config["family"]), config["job"], config["params"]
    family.warm_up()
    rows = list(views(config["encoded"].fetch(), family.needs, *config["parts"]))
    fitting = family.begin(params, job, family.hold(params, job, rows, []), config["seed"])
    fitting.advance(config["rounds"])
    with tempfile.TemporaryDirectory() as made:
        fitting.save(Path(made) / family.file, config["rounds"])
        ray.train.report({"rounds": config["rounds"]}, checkpoint=ray.train.Checkpoint.from_directory(made))
