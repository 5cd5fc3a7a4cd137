"""What makes a run repeatable: layout, data and what each stage made are recorded once, and compared from then on.

A resumed run is compared with its own journal; a rerun with the manifest that `pin` puts there. The manifest holds all
that a rerun needs. It is written last; a run folder without one is not complete.
"""

import hashlib
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.components.choice import find
from ray_pipeline.data.fingerprint import changes
from ray_pipeline.errors import DataError, Problem, ResourceError
from ray_pipeline.runs.journal import Journal
from ray_pipeline.runtime.layout import Layout, layout_on_cluster
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.gpu_trial import gpu_fault

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

FORMAT = 2
"""Of run folders; `resume` refuses others."""
TRAINING_LIBRARIES = ("xgboost", "lightgbm", "catboost", "torch")
LIBRARIES = ("ray-pipeline", "ray", *TRAINING_LIBRARIES, "optuna", "mlflow-skinny", "pyarrow", "numpy", "pandas")
STAGES = ("read", "split", "encoder", "trials", "model", "predictions", "metrics")
"""In the order in which a difference would show."""


@cache
def versions() -> Mapping[str, str]:
    """Versions of everything whose change may change a byte: Python, our own code (a hash of its files), libraries."""
    package = Path(__file__).parents[1]
    code = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(package.rglob("*.py")))).hexdigest()
    installed = {"python": platform.python_version(), "code": code[:12]}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # an extra that is not installed
            installed[name] = version(name)
    return installed


def pin(journal: Journal, manifest: Mapping[str, Any], *, verify: bool) -> None:
    """Make a fresh run the repetition of another one.

    Its layout, its trials, its ensemble and where its search began are taken over. To verify it, every stage must make
    what the manifest says.
    """
    journal.record("layout", manifest["plan"])
    if manifest.get("trials"):
        journal.record("recorded_trials", {"trials": manifest["trials"]})
    for chosen in ("warm_start", "ensemble"):
        if manifest.get(chosen):
            journal.record(chosen, manifest[chosen])
    if verify:
        journal.record("expected", {key: manifest[key] for key in ("run", "data", "digests", "versions")})


def pinned(journal: Journal) -> dict[str, Any]:
    """What the run must make, where it verifies another one; else empty."""
    return journal.recorded("expected") or {}


def plan_layout(journal: Journal, where: Where, spec: Spec, note: Callable[[str], None]) -> Layout:
    """Lay out the search on the cluster: workers as the run began, as many slots as there is room for now.

    Parameters
    ----------
    journal
        Has the layout that the run began with.
    where
        The cluster file.
    spec
        Names the families.
    note
        Told where GPUs are left alone.

    Raises
    ------
    ResourceError
        This cluster has no node for the threads or GPUs that the run began with; the model's bytes depend on them. Or
        the cluster file asks for GPUs that a family cannot use.
    """
    before, trials = journal.recorded("layout"), spec.search.trials
    if before is None:
        layout = layout_on_cluster(where, trials, uses_gpu=spec.uses_gpu)
        if layout.gpus and (fault := gpu_fault([find("models", family) for family in spec.model], layout)):
            if where.gpus_per_worker != "auto":
                fix = "install what uses it on every node, or remove `gpus_per_worker`"
                raise ResourceError(Problem(key="gpus_per_worker", stage="plan", found=f"the GPU: {fault}", fix=fix))
            note(f"a GPU is there and left alone: {fault}")
            layout = layout_on_cluster(where, trials, uses_gpu=False)
        journal.record("layout", asdict(layout))
        return layout
    fixed = {
        "cpus_per_worker": before["threads"],
        "workers_per_trial": before["workers"],
        "gpus_per_worker": before["gpus"],
        "concurrent_trials": "auto",
    }
    layout = layout_on_cluster(where.model_copy(update=fixed), trials, uses_gpu=spec.uses_gpu)
    threads, most = before["fit_threads"], layout.fit_threads
    if threads > most:
        raise ResourceError(
            Problem(
                stage="plan",
                found=f"the run fits its model with {threads} threads, and a worker here gets at most {most}",
                fix=f"go on where a worker gets {threads} CPUs: the model's bytes depend on it",
            )
        )
    return replace(layout, fit_threads=threads)


def assert_same_data(journal: Journal, data: Mapping[str, Mapping[str, Any]]) -> None:
    """Record the fingerprints of the data. Raise `DataError` that names the changed files and columns."""
    before = journal.recorded("data") or pinned(journal).get("data") or data
    problems = [
        Problem(
            stage="read",
            key=f"features.{name}",
            found=f"the data of {name!r} is not what {_whose(journal)} read: {what}",
            fix=_remedy(journal),
        )
        for name, table in data.items()
        if (what := changes(before.get(name, {}), table))
    ]
    if problems:
        raise DataError(problems)
    journal.record("data", data)


def assert_digest(journal: Journal, stage: str, digest: str) -> None:
    """Record what a stage made. Raise `DataError` where it made something else before, with the changed versions."""
    recorded = journal.recorded(f"digest-{stage}") or {}
    expected = recorded.get("sha256") or pinned(journal).get("digests", {}).get(stage)
    if expected not in (None, digest):
        then = {**(journal.recorded("begin") or {}), **pinned(journal)}.get("versions", {})
        changed = [
            f"{name} {then.get(name, 'absent')} -> {versions().get(name, 'absent')}"
            for name in {**then, **versions()}
            if then.get(name) != versions().get(name)
        ]
        same = "data, layout and versions are the same: another processor, or a bug"
        why = f"versions changed: {', '.join(changed)}" if changed else same
        found = f"{stage} differs from what {_whose(journal)} made ({digest[:12]} instead of {expected[:12]}); {why}"
        raise DataError(Problem(stage=stage, found=found, fix=_remedy(journal)))
    journal.record(f"digest-{stage}", {"sha256": digest})


def recorded_digests(journal: Journal) -> dict[str, str]:
    """What every stage made, in the order of the stages."""
    recorded = {stage: journal.recorded(f"digest-{stage}") for stage in STAGES[1:]}
    return {stage: entry["sha256"] for stage, entry in recorded.items() if entry}


def manifest_of(run: "Run") -> dict[str, Any]:
    """What the manifest says before the model is registered."""
    began, spec, facts = run.journal.recorded("begin") or {}, run.spec, run.facts
    return {
        "format": FORMAT,
        "run": run.id,
        "spec": spec.render(),
        "base": began.get("base"),
        "where": began.get("where"),
        "fingerprint": spec.fingerprint,
        "data": facts["data"],
        **({"queries": queries} if (queries := run.journal.recorded("queries")) else {}),
        "versions": versions(),
        "seeds": {"seed": spec.seed, "search": spec.search.seed, "split": getattr(spec.split, "seed", None)},
        "plan": asdict(run.layout),
        "warm_start": run.journal.recorded("warm_start"),
        "ensemble": run.journal.recorded("ensemble"),
        "rows": facts["rows"],
        "times": facts["times"],
        "digests": recorded_digests(run.journal),
        "trials": facts["trials"],
        "winner": facts["winner"],
        "seconds": run.seconds,
        "expected_seconds": facts["expected_seconds"],
    }


def _whose(journal: Journal) -> str:
    run = pinned(journal).get("run")
    return f"run {run}" if run else "this run, before it was interrupted,"


def _remedy(journal: Journal) -> str:
    again = "give it the same data and library versions as then"
    return again if pinned(journal) else "restore what changed, or start a new run"
