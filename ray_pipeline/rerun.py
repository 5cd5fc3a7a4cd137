"""Run again from a manifest alone, and compare each stage byte for byte; the first stage that differs ends the run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_pipeline import pipeline
from ray_pipeline.errors import DataError, Problem, StorageError
from ray_pipeline.runs import reproducibility as repeat
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where

NEEDED = ("run", "fingerprint", "spec", "base", "where", "plan", "data", "digests", "versions", "trials")


def rerun(
    run: str, where: Where | None, *, verify: bool, show: Progress | None = None, debug: bool = False
) -> dict[str, Any]:
    """Run again what a manifest says, as a new run that is not registered, and return the answer.

    Parameters
    ----------
    run
        The run's id under the storage folder, its folder, or the path of its manifest.
    where
        The cluster file; None for that of the run. Workers and threads are those of the run in either case, since the
        bytes depend on them.
    verify
        Compare every stage with the manifest. The status is then `identical`, else `rebuilt`.

    Raises
    ------
    DataError
        A stage differs; the message names the first one and why: which files and columns, or which versions.
    StorageError
        There is no such run, or its manifest is incomplete.
    """
    told = manifest_of(run, where or Where())
    where = where or Where.model_validate(told["where"], strict=False)
    spec = _spec(told)
    folder = RunFolder.create(where.storage_folder(Path.cwd()), spec.name, spec.fingerprint)
    repeat.expect(folder, told, verify=verify)
    answer = {"run": told["run"], "rerun": folder.run}
    try:
        release = pipeline.run(spec, where, show=show, folder=folder, debug=debug)
    except DataError as error:
        stage = next((problem.stage for problem in error.problems if problem.stage in repeat.STAGES), None)
        error.answer = {
            **answer,
            "status": "different" if stage else "error",
            "same": list(repeat.made(folder)),
            "differs": stage,
        }
        raise
    return {
        **answer,
        "status": "identical" if verify else "rebuilt",
        "exit": 0,
        "same": ["read", *repeat.made(folder)] if verify else [],
        "differs": None,
        "metrics": release.metrics,
        "report": release.report,
    }


def manifest_of(run: str, where: Where) -> dict[str, Any]:
    """Return the manifest of a complete run.

    Raises
    ------
    StorageError
        The manifest is absent, no JSON, or lacks a key that a rerun needs.
    """
    path = (
        Path(run)
        if run.endswith(".json")
        else RunFolder.open(where.storage_folder(Path.cwd()), run).path / "manifest.json"
    )
    try:
        told = json.loads(path.read_text())
    except OSError:
        raise StorageError(
            Problem(
                file=str(path),
                found="there is no manifest: the run is not complete",
                fix="continue the run: ray-pipeline resume",
            )
        ) from None
    except ValueError as error:
        raise StorageError(Problem(file=str(path), found=f"is no JSON: {error}", fix="restore the file")) from None
    missing = [name for name in NEEDED if not isinstance(told, Mapping) or name not in told]
    if missing:
        raise StorageError(
            Problem(
                file=str(path),
                found=f"does not say {', '.join(missing)}",
                fix="rerun needs a manifest that this version wrote",
            )
        )
    return dict(told)


def _spec(told: Mapping[str, Any]) -> Spec:
    """The run's spec without registration; a search that time or a target ended gets the number of its trials."""
    spec = Spec.from_text(told["spec"], file=f"{told['run']}/spec.yaml", folder=Path(told["base"]))
    sets = ["register=false"]
    if spec.search.time is not None or spec.search.target is not None:
        sets += ["search.time=null", "search.target=null", f"search.trials={len(told['trials'])}"]
    return Spec.from_text(told["spec"], sets, file=f"{told['run']}/spec.yaml", folder=Path(told["base"]))
