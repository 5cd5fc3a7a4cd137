"""Warm start: the search also tries the hyperparameters of an earlier run's winner, or of today's champion."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.bundle_files import read_part
from ray_pipeline.bundle_members import MEMBERS_FILE
from ray_pipeline.errors import Problem, StorageError, listed
from ray_pipeline.spec import Spec
from ray_pipeline.suggestion import command

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

CHAMPION, STEP, KEY = "champion", "warm_start", "search.warm_start"


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Hyperparameters of an earlier winner."""

    source: str
    """The run's id, or `models:/<name>/<version>`."""
    family: str
    params: Mapping[str, Any]


def find_warm_start(spec: Spec, run: "Run") -> WarmStart | None:
    """Find what `search.warm_start` names; None where it names nothing, or its family is not searched.

    It is looked up once and recorded in the journal: a resumed run and a rerun start in the same way, also when there
    is a new champion by then.

    Raises
    ------
    StorageError
        There is no such run (the message names similar ones), or it has no model yet.
    RegistryError
        The registry does not answer.
    """
    if spec.search.warm_start is None:
        return None
    recorded = run.journal.recorded(STEP)
    if recorded is None:
        if spec.search.warm_start == CHAMPION:
            champion = run.registry.champion(spec.name)
            winner = champion and _of_bundle(champion[1], f"models:/{spec.name}/{champion[0]}")
        else:
            winner = _of_run(spec.search.warm_start, spec, run)
        recorded = asdict(winner) if winner else {"source": None}
        run.journal.record(STEP, recorded)
    if recorded["source"] is None:
        run.progress.note(f"no warm start: no version of {spec.name!r} is champion yet")
        return None
    warm = WarmStart(**recorded)
    if warm.family not in spec.model:
        searched = listed(list(spec.model))
        run.progress.note(f"no warm start: {warm.source} is a {warm.family!r}, and the search is over {searched}")
        return None
    return warm


def _of_run(name: str, spec: Spec, run: "Run") -> WarmStart:
    """The winner of the run with this id in the same storage, or in this folder, which may be relative to the spec."""
    beside = spec.folder / name
    try:
        earlier = run.folder.open(run.folder.storage, str(beside) if (beside / "spec.yaml").is_file() else name)
    except StorageError as error:
        problems = [replace(one, file=None, key=KEY, found=f"{one.found} ({one.file})") for one in error.problems]
        raise StorageError(problems) from None
    if not (earlier.path / "model" / "model.json").is_file():
        fix = f"go on with it first (`{command('resume', earlier.run, on=run.where.on)}`), or name another run"
        raise StorageError(Problem(key=KEY, found=f"run {earlier.run} has no model yet", fix=fix))
    return _of_bundle(earlier.path / "model", earlier.run)


def _of_bundle(bundle: Path, source: str) -> WarmStart:
    model = read_part(bundle, "model.json")
    try:
        if (bundle / MEMBERS_FILE).is_file():  # the first has the greatest weight
            model = read_part(bundle, MEMBERS_FILE)["members"][0]
        return WarmStart(source=source, family=str(model["family"]), params=dict(model["params"]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        found = f"the bundle in {bundle} does not say what it was trained with ({type(error).__name__}: {error})"
        raise StorageError(Problem(key=KEY, found=found, fix="name another run, or a registered model")) from None
