"""Where a version came from and how it was judged, as plain values for `models list` and `models show`."""

import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray_pipeline.plain_json import read_json
from ray_pipeline.registry.champion_history import journal_of
from ray_pipeline.registry.versions import TAG, local_path, model_of, status_of

SCORECARD = "scorecard.json"
STAMP = "%Y%m%dT%H%M%S.%fZ"


def overview(all_models: Iterable[Any], all_versions: Iterable[Any]) -> list[dict[str, Any]]:
    """Return every model with its aliases and its versions, newest first."""
    versions: dict[str, list[Any]] = {}
    for version in all_versions:
        versions.setdefault(version.name, []).append(version)
    models = []
    for model in all_models:
        own = sorted(versions.get(model.name, []), key=lambda version: -int(version.version))
        aliases = {alias: int(number) for alias, number in sorted(model.aliases.items())}
        models.append(
            {"name": model.name, "aliases": aliases, "versions": [_summary(version, aliases) for version in own]}
        )
    return models


def detail(client: Any, version: Any) -> dict[str, Any]:
    """Return what `overview` says of a version, and its metrics, hyperparameters, gates, data, tags and journal.

    `metrics_of` and `gates_of` say in words which rows they are of: a later `evaluate` gives other gates, not metrics.
    """
    model = model_of(client, version.name)
    run = client.get_run(version.run_id) if version.run_id else None
    verdict = version.tags.get(f"{TAG}judged_by", SCORECARD)
    scorecard = (json_file(client, version.run_id, verdict) or {}) if run else {}
    of_run = f"the test part of {version.tags.get(f'{TAG}run', 'its run')}" if run else None
    return {
        **_summary(version, {alias: int(number) for alias, number in model.aliases.items()}),
        "metrics": dict(sorted(run.data.metrics.items())) if run else {},
        "metrics_of": of_run,
        "params": dict(sorted(run.data.params.items())) if run else {},
        "gates": scorecard.get("gates", []),
        "gates_of": of_run if verdict == SCORECARD else f"{scorecard.get('rows_path')}, judged {_when(verdict)}",
        "data": json_file(client, version.run_id, "data.json") if run else None,
        "tags": {key.removeprefix(TAG): value for key, value in sorted(version.tags.items())},
        "artifacts": run.info.artifact_uri if run else version.source,
        "journal": journal_of(model),
    }


def attach(client: Any, version: Any, file: str, content: Mapping[str, Any]) -> None:
    """Store a JSON file with the version's run, under the present time; a scorecard becomes the version's verdict."""
    path = f"evaluations/{datetime.now(UTC).strftime(STAMP)}/{file}"
    client.log_dict(version.run_id, dict(content), path)
    if file == SCORECARD:
        verdict = {"scorecard": "passed" if content["passed"] else "refused", "judged_by": path}
        for key, value in verdict.items():
            client.set_model_version_tag(version.name, str(version.version), f"{TAG}{key}", value)


def _when(path: str) -> str:
    """The time at which `attach` wrote a file."""
    return datetime.strptime(path.split("/")[1], STAMP).replace(tzinfo=UTC).isoformat(timespec="seconds")


def json_file(client: Any, run_id: str, path: str) -> dict[str, Any] | None:
    """Return the object in a JSON file of MLflow's run; None if it is absent, unreadable or no object."""
    from mlflow.exceptions import MlflowException

    root = local_path(client.get_run(run_id).info.artifact_uri)
    try:
        if root:
            content = read_json(root / path)
        else:
            with tempfile.TemporaryDirectory(prefix="ray_pipeline-") as folder:
                content = read_json(Path(client.download_artifacts(run_id, path, folder)))
    except (OSError, ValueError, MlflowException):
        return None
    return content if isinstance(content, dict) else None


def _summary(version: Any, aliases: Mapping[str, int]) -> dict[str, Any]:
    tags = version.tags
    number = int(version.version)
    return {
        "model": f"models:/{version.name}/{number}",
        "version": number,
        "status": status_of(version),
        "scorecard": tags.get(f"{TAG}scorecard"),
        "aliases": sorted(alias for alias, named in aliases.items() if named == number),
        "family": tags.get(f"{TAG}family"),
        "run": tags.get(f"{TAG}run"),
        "created": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
    }
