"""The manifest: all that a rerun needs. It is written last; a run folder without one is not complete."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray_pipeline.runs.reproducibility import recorded_digests, versions

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

FORMAT = 2
"""Of run folders; `resume` refuses others."""


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
        "versions": versions(),
        "seeds": {"seed": spec.seed, "search": spec.search.seed, "split": getattr(spec.split, "seed", None)},
        "plan": asdict(run.layout),
        "warm_start": run.journal.recorded("warm_start"),
        "rows": facts["rows"],
        "times": facts["times"],
        "digests": recorded_digests(run.journal),
        "trials": facts["trials"],
        "winner": facts["winner"],
        "seconds": run.seconds,
    }
