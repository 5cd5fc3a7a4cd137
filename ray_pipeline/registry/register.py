"""Step 8: into the model registry, if the verdict allows; and what the whole run answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline import encoded_block as blocks
from ray_pipeline.bundle import Bundle
from ray_pipeline.data.rows import KEY
from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.evaluation.evaluate import Evaluation
from ray_pipeline.evaluation.gates import Verdict
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.registry.registry import Registry
from ray_pipeline.runs.digests import of_json
from ray_pipeline.runs.reproducibility import versions
from ray_pipeline.runs.run_folder import RunFolder, plain
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.search import Leaderboard
from ray_pipeline.values import Vector

SAMPLE_ROWS = 100
PLAIN_FILES = (
    "spec.yaml",
    "checks.json",
    "joins.json",
    "training.json",
    "trials.jsonl",
    "evaluation.json",
    "bias.json",
    "scorecard.json",
    "report.html",
)


@dataclass(frozen=True)
class Release:
    """How a run ended, in the words of `run --json`."""

    answer: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.answer[name]
        except KeyError:
            raise AttributeError(name) from None

    def as_json(self) -> dict[str, Any]:
        """The contract's object."""
        return self.answer


@dataclass(frozen=True)
class Proof:
    """Training rows as they were read, and their scores as the training run encoded them: what a version must
    repeat."""

    sample: pa.Table
    scores: Vector


def register(
    registry: Registry,
    spec: Spec,
    folder: RunFolder,
    bundle: Bundle,
    proof: Proof,
    leaderboard: Leaderboard,
    evaluation: Evaluation,
    verdict: Verdict,
) -> int | None:
    """The version's number, once it has repeated the `proof`; None where the spec or the verdict keeps the model out of
    the registry."""
    if not spec.registration or not (verdict.passed or spec.registration.when == "always"):
        return None
    tables = folder.recorded("data") or {}
    lineage = {
        "fingerprint": of_json(tables),
        "tables": tables,
        "environment": dict(versions()),
        "parent": (folder.recorded("warm_start") or {}).get("source"),
    }
    overall = {row.metric: row.value for row in evaluation.measured if not row.slice}
    return registry.register(
        NewVersion(
            name=spec.name,
            run=folder.run,
            alias=spec.registration.alias,
            bundle_folder=bundle.folder,
            sample=proof.sample,
            scores=proof.scores,
            scorecard=verdict.as_json(),
            spec_text=spec.render(),
            tags={"fingerprint": spec.fingerprint, "family": leaderboard.best.family},
            metrics=overall,
            params=leaderboard.best.params,
            lineage=lineage,
            files=tuple(folder.path / name for name in PLAIN_FILES),
        )
    )


def prove(bundle: Bundle, profile: Profile, encoded: Encoded, needs: str) -> Proof:
    """The proof on 100 training rows; raises if the bundle scores them otherwise, by a bit, than the run does that
    encoded them."""
    rows = profile.sample.slice(0, SAMPLE_ROWS)
    wanted = {key: i for i, key in enumerate(rows[KEY].to_pylist())}
    scores: list[Any] = [None] * len(wanted)
    for view in blocks.views(encoded.fetch(), needs, "train"):
        keys = view.rows[blocks.KEY]
        here = np.flatnonzero(pa.compute.is_in(keys, rows[KEY].combine_chunks().cast(keys.type)).to_numpy())
        for position, score in zip(
            here, bundle.score_matrix(np.ascontiguousarray(view.matrix[here])) if len(here) else [], strict=True
        ):
            scores[wanted[keys[int(position)].as_py()]] = score
    trained, sample = np.asarray(scores, np.float64), bundle.select(rows)
    if not np.array_equal(trained, bundle.score(sample)):
        raise PipelineError(
            Problem(
                stage="register",
                rows=len(sample),
                found="the bundle scores rows otherwise than the training run did",
                fix="report this: it is a bug of ray-pipeline",
            )
        )
    return Proof(sample, trained)


def release_of(
    folder: RunFolder,
    spec: Spec,
    leaderboard: Leaderboard,
    evaluation: Evaluation,
    verdict: Verdict,
    version: int | None,
    facts: dict[str, Any],
    seconds: dict[str, float],
) -> Release:
    """The run's answer: `registered`, `refused` (exit 7) or `unregistered`."""
    status = "refused" if not verdict.passed else "unregistered" if version is None else "registered"
    overall = {
        row.metric: {"value": row.value, "low": row.low, "high": row.high}
        for row in evaluation.measured
        if not row.slice
    }
    answer = {
        "run": folder.run,
        "status": status,
        "exit": 0 if verdict.passed else 7,
        "model": f"models:/{spec.name}/{version}" if version else None,
        "version": version,
        "family": leaderboard.best.family,
        "metrics": overall,
        "gates": [gate.as_json() for gate in verdict.gates],
        "trials": len(leaderboard.results),
        "rows": facts["rows"],
        "seconds": {stage: round(spent, 2) for stage, spent in seconds.items()},
        "report": f"{folder.address}/report.html",
        "problems": [],
    }
    return Release(plain(answer))  # type: ignore[arg-type]
