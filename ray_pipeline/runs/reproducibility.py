"""What makes a run repeatable: layout, data and what each stage made are recorded once, and compared ever after.

A resumed run is compared with its own journal; a rerun with the manifest that `pin` puts there.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ray_pipeline.data.fingerprint import changes
from ray_pipeline.errors import DataError, Problem, ResourceError
from ray_pipeline.runs.journal import Journal
from ray_pipeline.runtime.layout import Layout, layout_on_cluster
from ray_pipeline.spec.where import Where

LIBRARIES = ("ray-pipeline", "ray", "xgboost", "torch", "optuna", "mlflow-skinny", "pyarrow", "numpy", "pandas")
STAGES = ("read", "split", "encoder", "trials", "model", "predictions", "metrics")
"""In the order in which a difference would show."""


@cache
def versions() -> Mapping[str, str]:
    """Versions of everything whose change may change a byte: Python, our own code (a hash of its files), libraries."""
    package = Path(__file__).parents[1]
    code = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(package.rglob("*.py")))).hexdigest()
    installed = {"python": platform.python_version(), "code": code[:12]}
    for name in LIBRARIES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return installed


def pin(journal: Journal, manifest: Mapping[str, Any], *, verify: bool) -> None:
    """Make a fresh run the repetition of another one.

    Its layout and where its search began are taken over. To verify it, every stage must make what the manifest says.
    """
    journal.record("layout", manifest["plan"])
    if manifest.get("warm_start"):
        journal.record("warm_start", manifest["warm_start"])
    if verify:
        journal.record("expected", {key: manifest[key] for key in ("run", "data", "digests", "versions")})


def pinned(journal: Journal) -> dict[str, Any] | None:
    """What the run must make, where it verifies another one."""
    return journal.recorded("expected")


def plan_layout(journal: Journal, where: Where, trials: int) -> Layout:
    """Lay out the search on the cluster: workers and threads as the run began, as many slots as there is room for now.

    Raises
    ------
    ResourceError
        This cluster has no node for the threads that the run began with; the model's bytes depend on them.
    """
    before = journal.recorded("layout")
    if before is None:
        layout = layout_on_cluster(where, trials)
        journal.record("layout", asdict(layout))
        return layout
    fixed = {"cpus_per_worker": before["threads"], "workers_per_trial": before["workers"], "concurrent_trials": "auto"}
    layout = layout_on_cluster(where.model_copy(update=fixed), trials)
    threads = before["fit_threads"]
    if threads > layout.fit_threads:
        found = (
            f"the run fits its model with {threads} threads, and the largest node here has {layout.fit_threads} CPUs"
        )
        fix = f"go on where a node has {threads} CPUs: the model's bytes depend on it"
        raise ResourceError(Problem(stage="plan", found=found, fix=fix))
    return replace(layout, fit_threads=threads)


def assert_same_data(journal: Journal, data: Mapping[str, Mapping[str, Any]]) -> None:
    """Record the fingerprints of the data. Raise `DataError` that names the changed files and columns."""
    before = journal.recorded("data") or _expected(journal).get("data") or {}
    changed = {name: changes(before.get(name, {}), table) for name, table in data.items()} if before else {}
    problems = [
        Problem(
            stage="read",
            key=f"features.{name}",
            found=f"the data of {name!r} is not what {_whose(journal)} read: {what}",
            fix=_remedy(journal),
        )
        for name, what in changed.items()
        if what
    ]
    if problems:
        raise DataError(problems)
    journal.record("data", data)


def assert_digest(journal: Journal, stage: str, digest: str) -> None:
    """Record what a stage made. Raise `DataError` where it made something else before, with the changed versions."""
    before = journal.recorded(f"digest-{stage}") or {}
    expected = before.get("sha256") or _expected(journal).get("digests", {}).get(stage)
    if expected not in (None, digest):
        then, now = _versions_before(journal), versions()
        changed = [
            f"{name} {then.get(name, 'absent')} -> {now.get(name, 'absent')}"
            for name in {**then, **now}
            if then.get(name) != now.get(name)
        ]
        why = "data, layout and versions are the same: another processor, or a bug"
        if changed:
            why = f"versions changed: {', '.join(changed)}"
        found = f"{stage} differs from what {_whose(journal)} made ({digest[:12]} instead of {expected[:12]}); {why}"
        raise DataError(Problem(stage=stage, found=found, fix=_remedy(journal)))
    journal.record(f"digest-{stage}", {"sha256": digest})


def recorded_digests(journal: Journal) -> dict[str, str]:
    """What every stage made, in the order of the stages."""
    recorded = {stage: journal.recorded(f"digest-{stage}") for stage in STAGES[1:]}
    return {stage: entry["sha256"] for stage, entry in recorded.items() if entry}


def _expected(journal: Journal) -> dict[str, Any]:
    return pinned(journal) or {}


def _versions_before(journal: Journal) -> dict[str, str]:
    return dict(_expected(journal).get("versions") or (journal.recorded("begin") or {}).get("versions", {}))


def _whose(journal: Journal) -> str:
    run = _expected(journal).get("run")
    return f"run {run}" if run else "this run, before it was interrupted,"


def _remedy(journal: Journal) -> str:
    if _expected(journal):
        return "give it the same data and library versions as then"
    return "restore what changed, or start a new run"
