"""The final fit: the winner's hyperparameters on all the rows it may see, by Ray Train, on one worker or many.

It keeps its state now and then; workers that died, and a run that was cut off, go on from there and come to the same
bytes.
"""

import hashlib
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.runs.digests import of_json
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.session import last_line, own_errors
from ray_pipeline.spec import Spec
from ray_pipeline.storage.blob_store import BlobStore
from ray_pipeline.tuning.search import Leaderboard
from ray_pipeline.tuning.worker_group import RESTARTS, START_TIMEOUT_S, backend
from ray_pipeline.values import Part

KEPT = ".fit"
STRIDE = 50
"""Rounds between two states. Taking one renews what the file cannot hold, so it is taken at fixed rounds, and the bytes
do not hang on time."""
KEEP_S = 10.0
"""Seconds between two states that are kept."""
LOOK_S = 10.0
"""Seconds between two looks at whether there still is a node that could go on with the fit."""


def fit(
    spec: Spec, leaderboard: Leaderboard, encoded: Encoded, context: TrainingContext, layout: Layout, folder: RunFolder
) -> Path:
    """The folder of the model fitted on `fit.on`, its rounds scaled by the rows it gained over train; a fit that the
    journal knows is not done again.

    Raises:
        ResourceError: Ray could not start the workers, or they died too often.
    """
    best, parts = leaderboard.best, _parts(spec)
    row_ratio = sum(encoded.rows[part] for part in parts) / encoded.rows["train"]
    rounds = leaderboard.family.refit_rounds(best.rounds, row_ratio)
    final, asked = folder.path / ".final", of_json([best.family, dict(best.params), rounds, list(parts), spec.seed])
    file = find("models", best.family).file
    if folder.recorded("fit") == {"asked": asked, "sha256": _sha256(final / file)}:
        return final
    store = BlobStore(f"{folder.address}/{KEPT}")
    loop = {
        "encoded": encoded,
        "family": best.family,
        "params": dict(best.params),
        "rounds": rounds,
        "parts": parts,
        "seed": spec.seed,
        "job": replace(context, threads=layout.fit_threads),
        "shelf": store,
        "name": asked[:16],
        "keep_s": KEEP_S,
    }
    with own_errors():
        _on_one(loop, layout) if layout.workers == 1 else _on_many(
            loop, layout, leaderboard.family.collective, store.root
        )
    folder.remove(".final")
    folder.write(f".final/{file}", store.read(_model(asked[:16])))
    folder.record("fit", {"asked": asked, "sha256": _sha256(final / file)})
    folder.remove(KEPT)
    return final


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _parts(spec: Spec) -> tuple[Part, ...]:
    return ("train", "validation") if spec.fit.on == "train+validation" else ("train",)


def _resources(layout: Layout) -> dict[str, float]:
    return {**layout.worker_resources(), "CPU": layout.fit_threads}


def _on_one(loop: dict[str, Any], layout: Layout) -> None:
    """Train's local mode in an actor: a run of Train's own would start two further processes, 5 s of a small fit."""
    import ray
    from ray.exceptions import RayError

    options = {
        "num_cpus": layout.fit_threads,
        "num_gpus": layout.gpus,
        "max_restarts": RESTARTS,
        "max_task_retries": RESTARTS,
    }
    worker = ray.remote(_Worker).options(**options).remote()
    if not ray.wait([worker.__ray_ready__.remote()], timeout=START_TIMEOUT_S)[0]:
        ray.kill(worker)
        raise ResourceError(_refused(layout, f"did not start within {START_TIMEOUT_S} s"))
    trained = worker.train.remote(loop)
    try:
        while not ray.wait([trained], timeout=LOOK_S)[0]:
            most = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
            if most < layout.fit_threads:  # Ray would wait for ever
                raise ResourceError(_refused(layout, f"lost its node, and no other has more than {most:g} CPUs"))
        ray.get(trained)
    except RayError as error:
        raise ResourceError(_refused(layout, f"failed: {last_line(error)}")) from error


class _Worker:
    """The actor of a fit on one worker."""

    def train(self, loop: dict[str, Any]) -> None:
        from ray.train import ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        DataParallelTrainer(_train, train_loop_config=loop, scaling_config=ScalingConfig(num_workers=0)).fit()


def _on_many(loop: dict[str, Any], layout: Layout, collective: str | None, storage: str) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    trainer = DataParallelTrainer(
        _train,
        train_loop_config=loop,
        backend_config=backend(collective),
        scaling_config=ScalingConfig(
            num_workers=layout.workers, use_gpu=layout.gpus > 0, resources_per_worker=_resources(layout)
        ),
        run_config=RunConfig(
            name=f"train-{uuid.uuid4().hex[:8]}",  # Train goes on with a run of the same name by its own pickled state
            storage_path=storage,
            failure_config=FailureConfig(
                max_failures=RESTARTS, controller_failure_limit=RESTARTS
            ),  # Train's default is to try for ever
        ),
    )
    try:
        trainer.fit()
    except (ControllerError, WorkerGroupError) as error:
        raise ResourceError(_refused(layout, f"failed {RESTARTS + 1} times: {last_line(error)}")) from error


def _refused(layout: Layout, what: str) -> Problem:
    wanted = f"{layout.workers} x ({', '.join(f'{amount:g} {name}' for name, amount in _resources(layout).items())})"
    return Problem(
        stage="fit",
        found=f"the final fit, which asked for {wanted}, {what}",
        fix="free the cluster's CPUs and memory, then `ray-pipeline resume`",
    )


def _train(config: dict[str, Any]) -> None:
    """The loop of a Train worker: train on its share of the rows from the state that was kept, if any; the first worker
    keeps states and the model."""
    import ray.train

    context, store, name = ray.train.get_context(), config["shelf"], config["name"]
    rank, world = context.get_world_rank(), context.get_world_size()
    family, context, params, rounds = (
        find("models", config["family"]),
        config["job"],
        config["params"],
        config["rounds"],
    )
    family.warm_up()
    rows = Shard(config["encoded"], family.encoder, *config["parts"], rank=rank, world=world)
    trained, given = (
        int(family.gather(np.array([rows.num_rows], np.float64), rank, world).sum()),
        sum(config["encoded"].rows[part] for part in config["parts"]),
    )
    if trained != given:
        raise RuntimeError(f"{world} workers train on {trained:,} rows, but there are {given:,}")
    before = store.read(_state(name)) if store.exists(_state(name)) else None
    training = family.start_training(
        params, context, family.prepare_data(params, context, rows, []), config["seed"], before
    )
    kept = time.monotonic()
    while (stop := min((training.rounds // STRIDE + 1) * STRIDE, rounds)) < rounds:
        training.advance(stop)
        state = training.state()
        if rank == 0 and time.monotonic() - kept > config["keep_s"]:
            store.write(_state(name), state)
            kept = time.monotonic()
    training.advance(rounds)
    if rank == 0:
        store.write(_model(name), training.model(rounds))


def _state(name: str) -> str:
    return f"{name}.state"


def _model(name: str) -> str:
    return f"{name}.model"
