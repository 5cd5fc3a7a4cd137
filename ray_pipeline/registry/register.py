"""The last step: the model goes into the registry, if the verdict allows it."""

from pathlib import Path
from typing import TYPE_CHECKING

from ray_pipeline.evaluation.gates import Verdict
from ray_pipeline.plain_json import json_digest
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.runtime.background import in_background
from ray_pipeline.runtime.progress import stage
from ray_pipeline.spec import Spec
from ray_pipeline.spec.environment import expand
from ray_pipeline.tuning.refit import TrainedModel

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

PLAIN_FILES = (
    "model_card.md",
    "spec.yaml",
    "checks.json",
    "joins.json",
    "training.json",
    "scores.json",
    "trials.jsonl",
    "evaluation.json",
    "bias.json",
    "scorecard.json",
)
"""Files of the run folder that are stored beside the version."""


@stage("register")
def register(model: TrainedModel, verdict: Verdict, run: "Run") -> int | None:
    """Register the model; Ray ends meanwhile.

    Returns
    -------
    int or None
        The version's number, once the version has repeated the proof; None where the spec or the verdict keeps the
        model out of the registry.
    """
    spec, registration = run.spec, run.spec.registration
    with in_background(run.end_session):
        report = run.write_report()
        if not registration or not (verdict.passed or registration.when == "always"):
            return None
        run.registry_ready()
        data = run.facts["data"]
        warm_start = run.journal.recorded("warm_start") or {}
        lineage = {
            "fingerprint": json_digest(data),
            "tables": data,
            "environment": dict(run.versions),
            "parent": warm_start.get("source"),
        }
        version = run.registry.register(
            NewVersion(
                name=spec.name,
                run=run.id,
                alias=registration.alias,
                bundle_folder=model.bundle.folder,
                sample=model.proof.sample,
                scores=model.proof.scores,
                scorecard=verdict.as_json(),
                spec_text=spec.render(),
                tags={"fingerprint": spec.fingerprint, "family": str(model.bundle.model["family"])},
                metrics={name: row.value for name, row in verdict.evaluation.overall_metrics.items()},
                params=model.best.params,
                lineage=lineage,
                sources={name: run.where.resolve(table.path, spec.folder) for name, table in spec.features.all.items()},
                spec_file=spec.place("name")[0],
                signing_key=signing_key(spec),
                files=(report, *(run.folder.path / name for name in PLAIN_FILES)),
            )
        )
        if registration.promote == "if_better" and (why := verdict.gain):
            run.promotion = run.registry.promote(f"{spec.name}/{version}", reason=why)
            run.progress.note(f"version {version} is champion now: {why}")
        return version


def signing_key(spec: Spec) -> Path | None:
    """The file of the private key that signs the spec's models; None where it registers none, or signs none."""
    registration = spec.registration
    return spec.folder / Path(expand(registration.sign)).expanduser() if registration and registration.sign else None
