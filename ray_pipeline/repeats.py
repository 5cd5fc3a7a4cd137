"""One spec over several seeds: how much of its result is luck of search, initialisation and order.

The parts of the data stay, since `split.seed` is a seed of its own. The model of the spec's own seed is registered as
ever; the other runs are judged by no gate, and register nothing.
"""

from collections.abc import Callable, Mapping
from statistics import fmean, stdev
from typing import Any

from ray_pipeline.data.sql_tables import is_waiting, with_rows_of
from ray_pipeline.errors import PipelineError, Problem, SpecError
from ray_pipeline.runs.release import Release
from ray_pipeline.spec import Spec
from ray_pipeline.storage.blob_store import BlobStore

MAX_REPEATS = 100


def repeat(spec: Spec, times: int, run: Callable[[Spec], Release]) -> dict[str, Any]:
    """Run a spec with its own seed, then with the seeds after it; return the JSON output of `run`.

    Parameters
    ----------
    spec
        The spec; its own run comes first.
    times
        The number of seeds, its own included.
    run
        Runs one spec.

    Returns
    -------
    dict
        The answer of the spec's own run; `repeats`: seed, run, status and metrics of each run; and by metric `mean`
        and `spread`, the standard deviation of a run, None where fewer than two runs have a value.

    Raises
    ------
    SpecError
        `times` is not between 1 and 100.
    PipelineError
        The spec's own run failed. Another run that fails is an entry of `repeats` with its problems.
    """
    if not 1 <= times <= MAX_REPEATS:
        found = f"expected a number of seeds from 1 to {MAX_REPEATS}, got {times}"
        raise SpecError(Problem(key="--repeat", found=found, fix="write for example `--repeat 5`"))
    own = run(spec)
    others = [with_seed(_with_its_rows(spec, own), step) for step in range(1, times)]
    repeats = [_entry(spec, own), *(_other(other, run) for other in others)]
    values: dict[str, list[float]] = {}
    for entry in repeats:
        for name, value in entry["metrics"].items():
            values.setdefault(name, [])
            if value is not None:
                values[name].append(value)
    return {
        **own.as_json(),
        "repeats": repeats,
        "mean": {name: fmean(of) if of else None for name, of in values.items()},
        "spread": {name: stdev(of) if len(of) > 1 else None for name, of in values.items()},
    }


def with_seed(spec: Spec, step: int) -> Spec:
    """Return the spec with its seeds moved by `step`, without gates, registration and explanation."""
    data: Mapping[str, Any] = spec.as_data()
    changed = {
        "seed": spec.seed + step,
        "search": {**data["search"], "seed": spec.search.seed + step},
        "gates": [],
        "register": False,
        "explain": {},
    }
    return Spec.from_dict({**data, **changed}, folder=spec.folder)


def _with_its_rows(spec: Spec, own: Release) -> Spec:
    """The spec with the rows that its own run has read of queries: all seeds see the same."""
    if not any(is_waiting(table) for table in spec.features.all.values()):
        return spec
    stored = BlobStore(own.folder).read("spec.yaml").decode()
    return with_rows_of(spec, Spec.from_text(stored, file="spec.yaml", folder=spec.folder))


def _other(spec: Spec, run: Callable[[Spec], Release]) -> dict[str, Any]:
    try:
        return _entry(spec, run(spec))
    except PipelineError as error:
        problems = [problem.as_json() for problem in error.problems]
        return {"seed": spec.seed, "run": None, "status": "error", "metrics": {}, "problems": problems}


def _entry(spec: Spec, release: Release) -> dict[str, Any]:
    metrics = {name: metric["value"] for name, metric in release.metrics.items()}
    return {"seed": spec.seed, "run": release.run, "status": release.status, "metrics": metrics, "problems": []}
