"""How a version is published: stored whole, proved in a fresh process, then given its alias.

Its tag `status` is `incomplete`, then `verified`, and in the end `registered`, or `refused` if its scorecard has not
passed. No alias points to an incomplete version, and none is loaded. After an interruption the same call continues.
"""

import json
import math
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ray_pipeline.bundle import Bundle
from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.redaction import redacted
from ray_pipeline.registry import package, signature, verify
from ray_pipeline.registry.champion_history import set_champion, user_name
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.registry.preflight import writing
from ray_pipeline.registry.versions import (
    FOLDER,
    TAG,
    downloaded,
    local_path,
    status_of,
    version_of_run,
    versions_of_run,
)


def publish(client: Any, uri: str, artifacts: str | None, bundle: Bundle, new: NewVersion) -> int:
    """Publish a version and return its number.

    Parameters
    ----------
    client
        MLflow's client for the registry at `uri`.
    artifacts
        The folder or URI for the files of a new experiment; None leaves the choice to the server.
    bundle
        The bundle in `new.bundle_folder`.

    Raises
    ------
    RegistryError
        The stored version scores a row differently; or the run has already registered another model.
    """
    with writing(uri):
        existing = version_of_run(client, new.name, new.run)
        if existing and _is_done(existing, bundle):
            return int(existing.version)
        run_id = existing.run_id if existing else _open_run(client, artifacts, new)
    with verify.scoring_process() as process:
        with tempfile.TemporaryDirectory(prefix="ray_pipeline-") as folder:
            model = package.pack(bundle, new.sample, new.scores, Path(folder))
            client.log_artifacts(run_id, str(model), FOLDER)
            if new.signing_key:
                signature.sign(model, new.signing_key, Path(folder) / signature.FILE)
                client.log_artifact(run_id, str(Path(folder) / signature.FILE), signature.FOLDER)
            _log_files(client, run_id, new)
        with writing(uri):
            if not version_of_run(client, new.name, new.run):
                _create_version(client, run_id, bundle, new)
            version = _only_version(client, new)
        try:
            proof = verify.verify(_stored(client, version.run_id), process, fingerprint=None, shipped=True)
        except RegistryError:
            client.set_terminated(version.run_id, "FAILED")
            raise
    with writing(uri):
        return _finish(client, version, new, proof["sha256"])


def _is_done(version: Any, bundle: Bundle) -> bool:
    if version.tags.get(f"{TAG}bundle") != bundle.fingerprint:
        found = f"run {version.tags[f'{TAG}run']} is registered as {version.name}/{version.version}, with another model"
        raise RegistryError(Problem(key="run", found=found, fix="start a new run: a version never changes"))
    return status_of(version) in ("registered", "refused")


def _open_run(client: Any, artifacts: str | None, new: NewVersion) -> str:
    """The id of MLflow's run for our run, in the experiment that has the model's name; it is created only once."""
    experiment = client.get_experiment_by_name(new.name)
    if experiment is None:
        location = f"{artifacts}/{new.name}" if artifacts else None
        experiment_id = (
            _created(lambda: client.create_experiment(new.name, artifact_location=location))
            or client.get_experiment_by_name(new.name).experiment_id
        )
    else:
        experiment_id = experiment.experiment_id
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment_id)
    known = client.search_runs([experiment_id], f"tags.`{TAG}run` = '{new.run}'", max_results=1)
    run = known[0] if known else client.create_run(experiment_id, run_name=new.run, tags=_tags(new))
    return str(run.info.run_id)


def _log_files(client: Any, run_id: str, new: NewVersion) -> None:
    """Store metrics, hyperparameters, lineage and the run's plain files beside the model."""
    from mlflow.entities import Metric, Param

    now = time.time_ns() // 1_000_000
    metrics = [
        Metric(re.sub(r"[^\w./ -]+", "_", key).strip("_"), float(value), now, 0)  # MLflow allows no other characters
        for key, value in new.metrics.items()
        if math.isfinite(value)
    ]
    params = [Param(key, str(value)) for key, value in new.params.items()]
    client.log_batch(run_id, metrics=metrics, params=params)
    if new.sources and not client.get_run(run_id).inputs.dataset_inputs:
        client.log_inputs(run_id, _datasets(new))
    texts = {"spec.yaml": new.spec_text, "data.json": _json(new.lineage)}
    if new.scorecard is not None:
        texts["scorecard.json"] = _json(new.scorecard)
    with tempfile.TemporaryDirectory(prefix="ray_pipeline-") as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        client.log_artifacts(run_id, folder)
    for file in new.files:
        if file.name not in texts and file.is_file():
            client.log_artifact(run_id, str(file))


def _datasets(new: NewVersion) -> list[Any]:
    """Each table as MLflow's dataset, with a source that `mlflow.data.get_source` reads."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    context = InputTag("mlflow.data.context", "training")
    tables = new.lineage.get("tables", {})
    datasets = []
    for name, path in new.sources.items():
        digest = str(tables.get(name, new.lineage).get("fingerprint", ""))[:36]
        kind = urlsplit(path).scheme if "://" in path else "local"
        source = json.dumps({"uri": redacted(path)})
        datasets.append(Dataset(name=name, digest=digest, source_type=kind, source=source))
    return [DatasetInput(dataset, [context]) for dataset in datasets]


def _create_version(client: Any, run_id: str, bundle: Bundle, new: NewVersion) -> Any:
    """Create the version with all its tags in one transaction."""
    _created(lambda: client.create_registered_model(new.name))
    tags = {
        **_tags(new),
        f"{TAG}bundle": bundle.fingerprint,
        f"{TAG}family": str(bundle.model["family"]),
        f"{TAG}status": "incomplete",
    }
    root = client.get_run(run_id).info.artifact_uri
    return client.create_model_version(new.name, source=f"{root}/{FOLDER}", run_id=run_id, tags=tags)


def _only_version(client: Any, new: NewVersion) -> Any:
    """The run's version. Further ones are deleted: a request whose answer was lost is sent, and done, twice."""
    first, *others = versions_of_run(client, new.name, new.run)
    for other in others:
        client.delete_model_version(new.name, other.version)
    return first


def _created(create: Callable[[], Any]) -> Any:
    """What was created; None if it exists already, also if another process has created it just now."""
    from mlflow.exceptions import MlflowException

    try:
        return create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return None


def _finish(client: Any, version: Any, new: NewVersion, sha256: str) -> int:
    """Mark the proved version, set its alias and return its number."""
    number = int(version.version)

    def tag(key: str, value: str) -> None:
        client.set_model_version_tag(new.name, str(number), f"{TAG}{key}", value)

    tag("sha256", sha256)
    if new.verdict:
        tag("scorecard", new.verdict)
    tag("status", "verified")
    if new.alias and new.verdict != "refused":
        set_champion(client, new.name, number, new.alias)
    tag("status", "refused" if new.verdict == "refused" else "registered")
    client.set_terminated(version.run_id)
    return number


def _stored(client: Any, run_id: str) -> Path:
    """The model's folder as the registry has stored it, on this machine."""
    local = local_path(client.get_run(run_id).info.artifact_uri)
    return local / FOLDER if local else downloaded(client, run_id)


def _tags(new: NewVersion) -> dict[str, str]:
    """Our own tags, and those by which MLflow shows who made it from what."""
    own = {f"{TAG}{key}": str(value) for key, value in {**new.tags, "run": new.run}.items()}
    source = {"mlflow.source.name": new.spec_file, "mlflow.source.type": "LOCAL"} if new.spec_file else {}
    return {**own, "mlflow.user": user_name(), **source}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
