"""Resume an interrupted run, or run again from a manifest and compare byte for byte.

Both run the whole page again. What the journal holds is not done again: the layout (`runs/reproducibility.py`), each
finished trial and rung (`tuning/trial_store.py`), the states and the model of the final fit (`tuning/final_fit.py`).
Encoded rows come from the cache (`preprocessing/cache.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_pipeline import pipeline
from ray_pipeline.errors import DataError, Problem, SpecError, StorageError
from ray_pipeline.plain_json import read_json
from ray_pipeline.redaction import redacted
from ray_pipeline.runs.context import AlreadyFinished, began_with, finished_release
from ray_pipeline.runs.release import Release
from ray_pipeline.runs.reproducibility import STAGES, pin, recorded_digests
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.suggestion import command

NEEDED = ("run", "fingerprint", "spec", "base", "where", "plan", "data", "digests", "versions", "trials")


def resume(
    folder: RunFolder, where: Where | None = None, *, progress: Progress | None = None, debug: bool = False
) -> Release:
    """Go on with an interrupted run: finished trials and fits are taken from its journal, the rest is done again.

    Parameters
    ----------
    folder
        The folder of the run.
    where
        Another cluster than the run began on; it must know the same registry. Without a `data` root of its own, the
        data is where it was. Without it, address and registry are those of the run folder.
    progress
        Shown what goes on.
    debug
        Lets Ray, Tune and MLflow log.

    Raises
    ------
    StorageError
        The folder holds no journal to go on from, or has another format.
    DataError
        The data or the stored spec changed since the run began.
    SpecError
        No cluster file is given, and the run began with one that trusts packages or keys.
    """
    if release := finished_release(folder):
        return release
    spec, stored = began_with(folder)
    if where:
        # A submitted run began in a folder of its job's: only the data root that travelled with it leads to the data.
        where = where.model_copy(update={"storage": folder.storage, "data": where.data or stored["data"]})
    else:
        where, progress = _stored_where("resume", folder.run, stored), progress or Progress()
        taken = f"address {where.address}, registry {where.registry_uri(Path.cwd())}"
        progress.note(redacted(f"from the run folder: {taken}; --on FILE would name others"))
    try:
        return pipeline.run(spec, where, progress=progress, resume_from=folder, debug=debug)
    except AlreadyFinished as done:
        return done.release


def rerun(
    run: str, where: Where | None, *, verify: bool, progress: Progress | None = None, debug: bool = False
) -> dict[str, Any]:
    """Build a run again, in a run of its own that is not registered.

    Parameters
    ----------
    run
        The run's id in the storage, its folder, or the path of its manifest.
    where
        On what; as the run was unless given. Workers and threads are the run's own in either case, because the bytes
        depend on them.
    verify
        Compare every stage with the manifest; the first one that differs ends it.
    progress
        Shown what goes on.
    debug
        Lets Ray, Tune and MLflow log.

    Returns
    -------
    dict
        The answer of the verb; its status is `identical`, or `rebuilt` where nothing was compared.

    Raises
    ------
    DataError
        The first stage that differs, and why: which files and columns of the data, or which versions.
    StorageError
        There is no such run, or it has no whole manifest.
    SpecError
        No cluster file is given, and the run began with one that trusts packages or keys.
    """
    manifest = read_manifest(run, where or Where())
    where = where or _stored_where("rerun", manifest["run"], manifest["where"])
    spec = _spec(manifest)
    folder = RunFolder.create(where.storage_folder(Path.cwd()), spec.name, spec.fingerprint)
    pin(folder.journal, manifest, verify=verify)
    answer = {"run": manifest["run"], "rerun": folder.run}
    try:
        release = pipeline.run(spec, where, progress=progress, resume_from=folder, debug=debug)
    except DataError as error:
        stage = next((problem.stage for problem in error.problems if problem.stage in STAGES), None)
        status, same = "different" if stage else "error", list(recorded_digests(folder.journal))
        error.answer = {**answer, "status": status, "same": same, "differs": stage}
        raise
    return {
        **answer,
        "status": "identical" if verify else "rebuilt",
        "exit": 0,
        "same": ["read", *recorded_digests(folder.journal)] if verify else [],
        "differs": None,
        "metrics": release.metrics,
        "report": release.report,
    }


def _stored_where(verb: str, run: str, stored: Mapping[str, Any]) -> Where:
    """The cluster file that a run folder keeps, for a user who names none.

    Who can write to a run folder must not choose the packages that are imported and the keys that are trusted.

    Raises
    ------
    SpecError
        The run began with such packages or keys.
    """
    if named := [f"`{key}`" for key in ("trust", "trust_keys") if stored.get(key)]:
        found = f"the run began with {' and '.join(named)} in its cluster file, which are never taken from a run folder"
        fix = f"name a cluster file that you trust: `{command(verb, run, on='FILE')}`"
        raise SpecError(Problem(key="--on", found=found, fix=fix))
    return Where.model_validate(stored, strict=False)


def read_manifest(run: str, where: Where) -> dict[str, Any]:
    """Read the whole manifest of a complete run."""
    path = Path(run)
    if not run.endswith(".json"):
        path = RunFolder.open(where.storage_folder(Path.cwd()), run).path / "manifest.json"
    file = str(path)
    try:
        manifest = read_json(path) if path.is_file() else None
    except OSError:
        manifest = None
    except ValueError as error:
        raise StorageError(Problem(file=file, found=f"cannot be read: {error}", fix="restore the file")) from None
    if manifest is None:
        found = "there is no manifest: the run is not complete"
        fix = f"go on with it: `{command('resume', run, on=where.on)}`"
        raise StorageError(Problem(file=file, found=found, fix=fix))
    missing = [name for name in NEEDED if not isinstance(manifest, Mapping) or name not in manifest]
    if missing:
        found = f"does not say {', '.join(missing)}"
        raise StorageError(Problem(file=file, found=found, fix="rerun needs a manifest that this version wrote"))
    return dict(manifest)


def _spec(manifest: Mapping[str, Any]) -> Spec:
    """The run's spec, without registration.

    A search that a clock or a target ended is given the number of trials that it came to.
    """
    file, folder = f"{manifest['run']}/spec.yaml", Path(manifest["base"])
    spec = Spec.from_text(manifest["spec"], file=file, folder=folder)
    sets = ["register=false"]
    if spec.search.time is not None or spec.search.target is not None:
        sets += ["search.time=null", "search.target=null", f"search.trials={len(manifest['trials'])}"]
    return Spec.from_text(manifest["spec"], sets, file=file, folder=folder)
