"""The final fit: the winner's hyperparameters on the rows that were chosen, by Ray Train, on one worker or several.

The state is saved from time to time. Restarted workers and a resumed run continue from it, and give the same bytes.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.errors import Problem, ResourceError
from ray_pipeline.heartbeat import heartbeats
from ray_pipeline.plain_json import json_digest
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.private_ray import session_folder
from ray_pipeline.runtime.private_tune import data_parallel_trainer
from ray_pipeline.runtime.ray_errors import last_line, own_errors
from ray_pipeline.storage.blob_store import BlobStore, DamagedBlob
from ray_pipeline.suggestion import RESUME
from ray_pipeline.tuning.fit_choice import FitChoice
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.training_memory import training_context
from ray_pipeline.tuning.worker_group import RESTARTS, START_TIMEOUT_S, trainer
from ray_pipeline.values import Part

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

FINAL_FOLDER = ".final"
STATE_ROUNDS = 50
"""Rounds between two states. Taking a state resets what it does not contain; with fixed rounds the bytes of the model
do not depend on time."""
SAVE_EVERY_S = 10.0
"""Seconds between two states that are saved."""
CHECK_EVERY_S = 10.0
"""Seconds between two checks that a node is alive that is large enough for the fit."""


def fit_winner(
    leaderboard: Leaderboard,
    encoded: Encoded,
    choice: FitChoice,
    run: "Run",
    step: str = "fit",
    layout: Layout | None = None,
) -> Path:
    """Fit the winner on the chosen parts; a fit that is in the journal is not repeated.

    The rounds grow with the rows that these parts have more than train. Where the trial's own model was chosen, nothing
    is fitted. The journal has the fit under the name of the `step`, and its states are in a folder of that name. The
    `layout` is that of the run unless given.

    Returns
    -------
    Path
        The model's file.

    Raises
    ------
    ResourceError
        Ray could not start the workers, or they died too often.
    """
    best, family, spec = leaderboard.best, leaderboard.family, run.spec
    layout, state_folder = layout or run.layout, f".{step}"
    if choice.own_model:
        return leaderboard.model_folder(best) / family.file
    parts, rounds = _parts(choice), fitted_rounds(best, encoded.rows.rows, choice)
    fit_id = json_digest([best.family, dict(best.params), rounds, list(parts), spec.seed])
    name = f"{FINAL_FOLDER}/{step}/{family.file}"
    final = run.folder.path / name
    if run.journal.recorded(step) == {"asked": fit_id, "sha256": _sha256(final)}:
        return final
    store, model_key = BlobStore(f"{run.folder.address}/{state_folder}"), f"{fit_id[:16]}.model"
    state_key = f"{fit_id[:16]}.state"
    _remove_damaged(store, state_key, run.progress.note)
    loop = {
        "encoded": encoded.rows,
        "family": best.family,
        "params": dict(best.params),
        "rounds": rounds,
        "parts": parts,
        "seed": spec.seed,
        "context": training_context(encoded, spec, layout, layout.fit_threads),
        "store": store,
        "state_key": state_key,
        "model_key": model_key,
        "save_every_s": SAVE_EVERY_S,
    }
    with own_errors():
        if layout.workers == 1:
            _on_one_worker(loop, layout)
        else:
            # Not in a bucket: Train would leave objects there that no client removes, one for each folder.
            _on_many_workers(loop, layout, family.collective, str(run.folder.path / state_folder))
    run.folder.write(name, store.read_sealed(model_key))
    run.journal.record(step, {"asked": fit_id, "sha256": _sha256(final)})
    run.folder.remove(state_folder)
    return final


def fitted_rounds(result: TrialResult, rows: Mapping[Part, int], choice: FitChoice) -> int:
    """Return the rounds of the final model of a trial, of the rows in each part."""
    if choice.own_model:
        return result.rounds
    ratio = sum(rows[part] for part in _parts(choice)) / rows["train"]
    rounds: int = find("models", result.family).refit_rounds(result.rounds, ratio)
    return rounds


def _parts(choice: FitChoice) -> tuple[Part, ...]:
    return ("train", "validation") if choice.on == "train+validation" else ("train",)


def _remove_damaged(store: BlobStore, state_key: str, note: Callable[[str], object]) -> None:
    """Remove a saved state that is not what was written: the fit begins anew, with the same bytes."""
    if store.exists(state_key):
        try:
            store.read_sealed(state_key)
        except DamagedBlob:
            store.remove(state_key)
            note(f"the saved state of the final fit is damaged, so the fit begins anew: {store.address(state_key)}")


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _resources(layout: Layout) -> dict[str, float]:
    return {**layout.worker_resources(), "CPU": layout.fit_threads}


def _on_one_worker(loop: dict[str, Any], layout: Layout) -> None:
    """Train's local mode in a task: a worker that has read or encoded rows runs it, and no process starts.

    A usual run of Train would start two more processes, 5 s of a small fit.
    """
    import ray
    from ray.exceptions import OutOfMemoryError, RayError

    options = {"num_cpus": layout.fit_threads, "num_gpus": layout.gpus, "max_retries": RESTARTS}
    free = ray.remote(_nothing).options(**options).remote()
    if not ray.wait([free], timeout=START_TIMEOUT_S)[0]:
        ray.cancel(free, force=True)
        raise ResourceError(_refusal(layout, f"did not start within {START_TIMEOUT_S} s"))
    trained = ray.remote(_train_here).options(**options).remote(loop)
    try:
        while not ray.wait([trained], timeout=CHECK_EVERY_S)[0]:
            largest = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
            if largest < layout.fit_threads:  # Ray would wait indefinitely
                raise ResourceError(_refusal(layout, f"lost its node, and no other has more than {largest:g} CPUs"))
        ray.get(trained)
    except OutOfMemoryError:  # the session says how much memory was used
        raise
    except RayError as error:
        raise ResourceError(_refusal(layout, f"failed: {last_line(error)}")) from error


def _nothing() -> None:
    """The task that shows that a fit can start."""


def _train_here(loop: dict[str, Any]) -> None:
    from ray.train import ScalingConfig

    data_parallel_trainer()(_train, train_loop_config=loop, scaling_config=ScalingConfig(num_workers=0)).fit()


def _on_many_workers(loop: dict[str, Any], layout: Layout, collective: str | None, storage: str) -> None:
    from ray.train import ControllerError, WorkerGroupError

    try:
        trainer(_train, loop, layout, _resources(layout), collective, storage).fit()
    except (ControllerError, WorkerGroupError) as error:
        raise ResourceError(_refusal(layout, f"failed {RESTARTS + 1} times: {last_line(error)}")) from error


def _refusal(layout: Layout, what: str) -> Problem:
    each = ", ".join(f"{amount:g} {name}" for name, amount in _resources(layout).items())
    found = f"the final fit, which asked for {layout.workers} x ({each}), {what}"
    fix = f"free the cluster's CPUs and memory, then {RESUME}"
    return Problem(stage="fit", found=found, fix=fix)


def _train(config: dict[str, Any]) -> None:
    """The loop of a Train worker."""
    with heartbeats(session_folder()):
        _train_shard(config)


def _train_shard(config: dict[str, Any]) -> None:
    """Train on the worker's shard from the saved state, if any; the first worker saves states and the model."""
    import ray.train

    train_context, store, state_key = ray.train.get_context(), config["store"], config["state_key"]
    rank, world = train_context.get_world_rank(), train_context.get_world_size()
    family, context, params, rounds = (config[name] for name in ("family", "context", "params", "rounds"))
    family = find("models", family)
    family.warm_up()
    shard = Shard(config["encoded"], family.encoder, *config["parts"], rank=rank, world=world)
    trained = int(family.gather(np.array([shard.num_rows], np.float64), rank, world).sum())
    num_rows = sum(config["encoded"].rows[part] for part in config["parts"])
    if trained != num_rows:
        raise RuntimeError(f"{world} workers train on {trained:,} rows, but there are {num_rows:,}")
    state = store.read_sealed(state_key).to_pybytes() if store.exists(state_key) else None
    data = family.prepare_data(params, context, shard, [])
    training = family.start_training(params, context, data, config["seed"], state)
    saved = time.monotonic()
    while (stop := min((training.rounds // STATE_ROUNDS + 1) * STATE_ROUNDS, rounds)) < rounds:
        training.advance(stop)
        state = training.state()
        if rank == 0 and time.monotonic() - saved > config["save_every_s"]:
            store.write_sealed(state_key, state)
            saved = time.monotonic()
    training.advance(rounds)
    if rank == 0:
        store.write_sealed(config["model_key"], training.model(rounds))
