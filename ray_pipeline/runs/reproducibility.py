"""What makes a run repeatable: its layout, its data and what each stage made are recorded once, and compared ever
after.

A resumed run is compared with its own journal; a rerun with the manifest of the run that it repeats, which `expect`
puts there.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ray_pipeline.data.fingerprint import Fingerprint, changes
from ray_pipeline.errors import DataError, Problem, ResourceError
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.layout import Layout, layout_on_cluster
from ray_pipeline.spec.where import Where

LIBRARIES = ("ray-pipeline", "ray", "xgboost", "torch", "optuna", "mlflow-skinny", "pyarrow", "numpy", "pandas")
STAGES = ("read", "split", "encoder", "trials", "model", "predictions", "metrics")
"""In the order in which a difference would show."""


@cache
def versions() -> Mapping[str, str]:
    """Of Python, of our own code (a hash of its files) and of every library whose change may change a byte."""
    package = Path(__file__).parents[1]
    code = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(package.rglob("*.py")))).hexdigest()
    found = {"python": platform.python_version(), "code": code[:12]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return found


def expect(folder: RunFolder, manifest: Mapping[str, Any], *, verify: bool) -> None:
    """Makes a fresh run the repetition of another: its layout and where its search began are taken over, and (to verify
    it) every stage must make what the manifest says."""
    folder.record("layout", manifest["plan"])
    if manifest.get("warm_start"):
        folder.record("warm_start", manifest["warm_start"])
    if verify:
        folder.record("expected", {key: manifest[key] for key in ("run", "data", "digests", "versions")})


def plan_layout(folder: RunFolder, where: Where, trials: int) -> Layout:
    """The layout: workers and threads as the run began, since the model's bytes depend on them; slots as many as there
    is room for now.

    Raises:
        ResourceError: this cluster has no node for the threads that the run began with.
    """
    before = folder.recorded("layout")
    if before is None:
        layout = layout_on_cluster(where, trials)
        folder.record("layout", asdict(layout))
        return layout
    layout = layout_on_cluster(
        where.model_copy(
            update={
                "cpus_per_worker": before["threads"],
                "workers_per_trial": before["workers"],
                "concurrent_trials": "auto",
            }
        ),
        trials,
    )
    if before["fit_threads"] > layout.fit_threads:
        found = (
            f"the run fits its model with {before['fit_threads']} threads, and the largest node here has"
            f" {layout.fit_threads} CPUs"
        )
        raise ResourceError(
            Problem(
                stage="plan",
                found=found,
                fix=f"go on where a node has {before['fit_threads']} CPUs: the model's bytes depend on it",
            )
        )
    return replace(layout, fit_threads=before["fit_threads"])


def assert_same_data(folder: RunFolder, found: Mapping[str, Fingerprint]) -> None:
    """Records the data's fingerprint. Raises `DataError` naming files and columns where the run began on other data."""
    before, now = (
        folder.recorded("data") or _expected(folder).get("data"),
        {name: table.as_json() for name, table in found.items()},
    )
    changed = {name: changes(before.get(name, {}), told) for name, told in now.items()} if before else {}
    problems = [
        Problem(
            stage="read",
            key=f"features.{name}",
            found=f"the data of {name!r} is not what {_whose(folder)} read: {what}",
            fix=_restore(folder),
        )
        for name, what in changed.items()
        if what
    ]
    if problems:
        raise DataError(problems)
    folder.record("data", now)


def same(folder: RunFolder, stage: str, digest: str) -> None:
    """Records what a stage made. Raises `DataError` where it made something else before, with the versions that changed
    since."""
    before = folder.recorded(f"digest-{stage}") or {}
    expected = before.get("sha256") or _expected(folder).get("digests", {}).get(stage)
    if expected not in (None, digest):
        then, now = _versions_then(folder), versions()
        changed = [
            f"{name} {then.get(name, 'absent')} -> {now.get(name, 'absent')}"
            for name in {**then, **now}
            if then.get(name) != now.get(name)
        ]
        why = (
            f"versions changed: {', '.join(changed)}"
            if changed
            else "data, layout and versions are the same: another processor, or a bug"
        )
        found = f"{stage} differs from what {_whose(folder)} made ({digest[:12]} instead of {expected[:12]}); {why}"
        raise DataError(Problem(stage=stage, found=found, fix=_restore(folder)))
    folder.record(f"digest-{stage}", {"sha256": digest})


def made(folder: RunFolder) -> dict[str, str]:
    """What every stage made, in the order of the stages."""
    recorded = {stage: folder.recorded(f"digest-{stage}") for stage in STAGES[1:]}
    return {stage: entry["sha256"] for stage, entry in recorded.items() if entry}


def _expected(folder: RunFolder) -> dict[str, Any]:
    return folder.recorded("expected") or {}


def _versions_then(folder: RunFolder) -> dict[str, str]:
    return dict(_expected(folder).get("versions") or (folder.recorded("begin") or {}).get("versions", {}))


def _whose(folder: RunFolder) -> str:
    run = _expected(folder).get("run")
    return f"run {run}" if run else "this run, before it was interrupted,"


def _restore(folder: RunFolder) -> str:
    return (
        "give it the same data and library versions as then"
        if _expected(folder)
        else "restore what changed, or start a new run"
    )
