"""Where a search begins besides the defaults: with the winner of an earlier run, or with the model that is champion now
(`search.warm_start`)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ray_pipeline.errors import Problem, StorageError, listed
from ray_pipeline.registry.registry import Registry
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.spec import Spec

CHAMPION, STEP, KEY = "champion", "warm_start", "search.warm_start"


@dataclass(frozen=True)
class WarmStart:
    """Hyperparameters that have won before."""

    source: str
    """The run's id, or `models:/<name>/<version>`."""
    family: str
    params: Mapping[str, Any]


def warm_start(spec: Spec, registry: Registry, folder: RunFolder, show: Progress) -> WarmStart | None:
    """What `search.warm_start` names; None where it names nothing, there is no champion yet, or the family is not
    searched.

    It is looked up once and then in the run's journal: a resumed run and a rerun begin with the same, whoever is
    champion by then.

    Raises:
        StorageError: there is no such run, the nearest are offered; or it has no model yet.
        RegistryError: the registry does not answer.
    """
    if spec.search.warm_start is None:
        return None
    told = folder.recorded(STEP)
    if told is None:
        found = (
            _champion(spec, registry)
            if spec.search.warm_start == CHAMPION
            else _winner(spec.search.warm_start, spec, folder)
        )
        told = asdict(found) if found else {"source": None}
        folder.record(STEP, told)
    if told["source"] is None:
        show.note(f"no warm start: no version of {spec.name!r} is champion yet")
        return None
    found = WarmStart(**told)
    if found.family not in spec.model:
        show.note(
            f"no warm start: {found.source} is of the family {found.family!r}, and the search is over"
            f" {listed(list(spec.model))}"
        )
        return None
    return found


def _champion(spec: Spec, registry: Registry) -> WarmStart | None:
    found = registry.champion(spec.name)
    return found and _of_bundle(found[1], f"models:/{spec.name}/{found[0]}")


def _winner(run: str, spec: Spec, folder: RunFolder) -> WarmStart:
    """Of the run with this id in the storage that `folder` lies in, or in this folder, which may be written as seen
    from the spec."""
    beside = spec.folder / run
    try:
        earlier = RunFolder.open(folder.storage, str(beside) if (beside / "spec.yaml").is_file() else run)
    except StorageError as error:
        raise StorageError(
            [replace(one, file=None, key=KEY, found=f"{one.found} ({one.file})") for one in error.problems]
        ) from None
    if not (earlier.path / "model" / "model.json").is_file():
        found = f"run {earlier.run} has no model yet"
        raise StorageError(
            Problem(
                key=KEY,
                found=found,
                fix=f"go on with it first (`ray-pipeline resume {earlier.run}`), or name another run",
            )
        )
    return _of_bundle(earlier.path / "model", earlier.run)


def _of_bundle(bundle: Path, source: str) -> WarmStart:
    model = json.loads((bundle / "model.json").read_text())
    return WarmStart(source, model["family"], model["params"])
