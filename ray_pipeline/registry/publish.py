"""How a version comes to be: stored whole, proved in a fresh process, then named. Cut off anywhere, the same call goes
on.

incomplete   the version exists, its files may not be proved; no alias, nothing loads it
verified     proved; its alias is being set
registered   done, or `refused`: done, but its scorecard did not pass, so it has no alias
"""

import json
import math
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry import package, verify
from ray_pipeline.registry.champion_history import set_champion
from ray_pipeline.registry.preflight import writing
from ray_pipeline.registry.versions import FOLDER, TAG, downloaded, local_path, of_run, status_of
from ray_pipeline.values import Vector


@dataclass(frozen=True)
class Record:
    """What is told about a version; the fields are those of `Registry.register`."""

    name: str
    run: str
    alias: str | None
    scorecard: Mapping[str, Any] | None
    spec_text: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    data: Mapping[str, Any]
    files: tuple[Path, ...]

    @property
    def verdict(self) -> str | None:
        """`passed`, `refused`, or None where nothing was judged."""
        return None if self.scorecard is None else "passed" if self.scorecard["passed"] else "refused"


def register(
    client: Any, uri: str, artifacts: str | None, bundle: Bundle, record: Record, sample: pa.Table, scores: Vector
) -> int:
    """The number of the run's version; see `Registry.register`."""
    _check_names(record)
    with writing(uri):
        there = of_run(client, record.name, record.run)
        if there and _is_done(there, bundle):
            return int(there.version)
        run_id = there.run_id if there else _open_run(client, artifacts, record)
    with tempfile.TemporaryDirectory(prefix="ray_pipeline-") as folder:
        model = package.pack(bundle, sample, scores, Path(folder))
        client.log_artifacts(run_id, str(model), FOLDER)
        _log_files(client, run_id, record)
    with writing(uri):
        version = of_run(client, record.name, record.run) or _new_version(client, run_id, bundle, record)
    try:
        proof = verify.verify(_stored(client, run_id), fingerprint=None, shipped=True)
    except RegistryError:
        client.set_terminated(run_id, "FAILED")
        raise
    with writing(uri):
        return _finish(client, version, record, proof["sha256"])


def _check_names(record: Record) -> None:
    """Names go into MLflow's search, paths and tags: only plain ones may."""
    for key, text in (("name", record.name), ("run", record.run), ("register.alias", record.alias)):
        if text is not None and not re.fullmatch(r"[A-Za-z0-9_.\-]{1,200}", text):
            raise RegistryError(
                Problem(
                    key=key, found=f"{text!r} is no name for the registry", fix="use letters, digits and _ . - only"
                )
            )


def _is_done(version: Any, bundle: Bundle) -> bool:
    if version.tags.get(f"{TAG}bundle") != bundle.fingerprint:
        found = f"run {version.tags[f'{TAG}run']} is registered as {version.name}/{version.version}, with another model"
        raise RegistryError(Problem(key="run", found=found, fix="start a new run: a version never changes"))
    return status_of(version) in ("registered", "refused")


def _open_run(client: Any, artifacts: str | None, record: Record) -> str:
    """MLflow's run of our run: one, in the experiment that bears the model's name."""
    experiment = client.get_experiment_by_name(record.name)
    if experiment is None:
        location = f"{artifacts}/{record.name}" if artifacts else None
        experiment_id = (
            _made(lambda: client.create_experiment(record.name, artifact_location=location))
            or client.get_experiment_by_name(record.name).experiment_id
        )
    else:
        experiment_id = experiment.experiment_id
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment_id)
    known = client.search_runs([experiment_id], f"tags.`{TAG}run` = '{record.run}'", max_results=1)
    if known:
        return str(known[0].info.run_id)
    run = client.create_run(experiment_id, run_name=record.run, tags={f"{TAG}run": record.run, **_tags(record)})
    return str(run.info.run_id)


def _log_files(client: Any, run_id: str, record: Record) -> None:
    """Numbers, lineage and the run's plain files, beside the model."""
    from mlflow.entities import Dataset, DatasetInput, Metric, Param

    now = time.time_ns() // 1_000_000
    metrics = [Metric(key, float(value), now, 0) for key, value in record.metrics.items() if math.isfinite(value)]
    params = [Param(key, str(value)) for key, value in record.params.items()]
    client.log_batch(run_id, metrics=metrics, params=params)
    digest = str(record.data.get("fingerprint", ""))[:36]
    if digest and not client.get_run(run_id).inputs.dataset_inputs:
        client.log_inputs(
            run_id,
            [
                DatasetInput(
                    Dataset(
                        name=record.name,
                        digest=digest,
                        source_type="ray_pipeline",
                        source=json.dumps({"spec": "spec.yaml", "data": "data.json"}),
                    )
                )
            ],
        )
    with tempfile.TemporaryDirectory(prefix="ray_pipeline-") as folder:
        plain = {"spec.yaml": record.spec_text, "data.json": _json(record.data)}
        if record.scorecard is not None:
            plain["scorecard.json"] = _json(record.scorecard)
        for name, text in plain.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        client.log_artifacts(run_id, folder)
    for file in record.files:
        if file.name not in plain and file.is_file():
            client.log_artifact(run_id, str(file))


def _new_version(client: Any, run_id: str, bundle: Bundle, record: Record) -> Any:
    """The version's row, with all its tags in the same transaction."""
    _made(lambda: client.create_registered_model(record.name))
    tags = {
        **_tags(record),
        f"{TAG}run": record.run,
        f"{TAG}bundle": bundle.fingerprint,
        f"{TAG}family": str(bundle.model["family"]),
        f"{TAG}status": "incomplete",
    }
    root = client.get_run(run_id).info.artifact_uri
    return client.create_model_version(record.name, source=f"{root}/{FOLDER}", run_id=run_id, tags=tags)


def _made(create: Callable[[], Any]) -> Any:
    """What was made; None where it is there already, perhaps since a moment ago."""
    from mlflow.exceptions import MlflowException

    try:
        return create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return None


def _finish(client: Any, version: Any, record: Record, sha256: str) -> int:
    """Marks the proved version and names it."""
    number = int(version.version)
    tags = {"sha256": sha256, **({"scorecard": record.verdict} if record.verdict else {}), "status": "verified"}
    for key, value in tags.items():
        client.set_model_version_tag(record.name, str(number), f"{TAG}{key}", value)
    if record.alias and record.verdict != "refused":
        set_champion(client, record.name, number, record.alias)
    client.set_model_version_tag(
        record.name, str(number), f"{TAG}status", "refused" if record.verdict == "refused" else "registered"
    )
    client.set_terminated(version.run_id)
    return number


def _stored(client: Any, run_id: str) -> Path:
    """The model's folder as it was stored: where it lies, or downloaded again."""
    local = local_path(client.get_run(run_id).info.artifact_uri)
    return local / FOLDER if local else downloaded(client, run_id)


def _tags(record: Record) -> dict[str, str]:
    return {f"{TAG}{key}": str(value) for key, value in record.tags.items()}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
