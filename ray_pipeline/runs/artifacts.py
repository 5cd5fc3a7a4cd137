"""What each stage leaves in the run folder: the type of a value decides its files, its digests, its journal entry."""

import json
from dataclasses import asdict
from functools import singledispatch
from typing import TYPE_CHECKING

from ray_pipeline.evaluation import score_drift
from ray_pipeline.evaluation.dominance import Doubts
from ray_pipeline.evaluation.evaluate import Evaluation
from ray_pipeline.evaluation.explain import Explanation
from ray_pipeline.evaluation.gates import Verdict
from ray_pipeline.evaluation.predict import prediction_tables
from ray_pipeline.plain_json import json_digest, plain
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.profiling import drift
from ray_pipeline.profiling.findings import raise_on_findings
from ray_pipeline.profiling.known_rows import KnownRows
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.runs.digests import model_digest, pieces_digest, split_digest, trials_digest
from ray_pipeline.runs.reproducibility import assert_digest, assert_same_data
from ray_pipeline.runtime.scratch import parquet_of
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.refit import MODEL_FOLDER, TrainedModel
from ray_pipeline.tuning.stage_seconds import stage_seconds
from ray_pipeline.values import Predictions

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run


@singledispatch
def write_artifacts(value: object, run: "Run") -> None:
    """Write the files of a value, and prove it to be what a resumed or repeated run made before."""
    raise TypeError(f"a run cannot save a {type(value).__name__}")


@write_artifacts.register(Profile)
def _(profile: Profile, run: "Run") -> None:
    """checks.json, joins.json, training.json and drift.json; findings at `checks.fail_on` end the run."""
    assert_same_data(run.journal, profile.data)
    run.folder.write_json("checks.json", [asdict(finding) for finding in profile.findings])
    run.folder.write_json("joins.json", profile.joins)
    shapes = drift.histograms(profile.sample, profile.types)
    known = KnownRows.of(profile.row_hashes)
    run.folder.write_json(
        "training.json", {**drift.to_json(shapes), "rows": known.to_json(), "times": profile.time_ranges}
    )
    run.folder.write_json("drift.json", drift.drift_by_part(shapes, profile.evaluation_samples))
    run.journal.record("profile", profile.rows_as_json())
    expected = stage_seconds(sum(profile.parts.values()), len(profile.types), run.spec, run.layout)
    run.facts |= {"data": profile.data, "rows": profile.rows_as_json(), "times": dict(profile.time_ranges)}
    run.facts |= {"expected_seconds": expected}
    run.profile = profile
    raise_on_findings(profile.findings, run.spec)


@write_artifacts.register(Encoded)
def _(encoded: Encoded, run: "Run") -> None:
    """Nothing but digests: split and encoder."""
    assert_digest(run.journal, "split", split_digest(encoded.rows))
    encoders = {name: encoder.to_json() for name, encoder in encoded.rows.encoders.items()}
    assert_digest(run.journal, "encoder", json_digest(encoders))


@write_artifacts.register(Leaderboard)
def _(leaderboard: Leaderboard, run: "Run") -> None:
    """trials.jsonl, in the order of their numbers; baselines.json; families.json and ensemble.json where they exist."""
    trials = [plain(asdict(result)) for result in leaderboard.results]
    run.folder.write("trials.jsonl", "".join(json.dumps(trial, ensure_ascii=False) + "\n" for trial in trials))
    assert_digest(run.journal, "trials", trials_digest(leaderboard.results))
    run.folder.write_json("baselines.json", [asdict(baseline) for baseline in leaderboard.baselines])
    if leaderboard.families:
        run.folder.write_json("families.json", [asdict(rank) for rank in leaderboard.families])
    if leaderboard.ensemble:
        run.folder.write_json("ensemble.json", asdict(leaderboard.ensemble))
    best = leaderboard.best
    run.facts |= {
        "trials": trials,
        "winner": {"trial": best.trial, "family": best.family, "rounds": best.rounds},
    }


@write_artifacts.register(TrainedModel)
def _(model: TrainedModel, run: "Run") -> None:
    """model/, folds.json where there are folds, calibration.json but for regression, and intervals.json where asked."""
    if model.folds is not None:
        run.folder.write_json("folds.json", model.folds.as_json(run.spec.search.metric))
    if (calibration := model.validation.calibration_as_json()) is not None:
        run.folder.write_json("calibration.json", calibration)
    if (regions := model.validation.regions) is not None:
        run.folder.write_json("intervals.json", regions.to_json())
    run.folder.upload(MODEL_FOLDER)
    assert_digest(run.journal, "model", model_digest(model.bundle))
    run.facts |= {"model": model.bundle.fingerprint}


@write_artifacts.register(Predictions)
def _(predictions: Predictions, run: "Run") -> None:
    """predictions/test.parquet, and scores.json: the histogram of the scores."""
    run.folder.write("predictions/test.parquet", parquet_of(prediction_tables(predictions)))
    run.folder.write_json(score_drift.FILE, drift.to_json(score_drift.score_histograms(predictions)))
    assert_digest(run.journal, "predictions", pieces_digest(prediction_tables(predictions)))


@write_artifacts.register(Evaluation)
def _(evaluation: Evaluation, run: "Run") -> None:
    """evaluation.json, bias.json and weak_slices.json."""
    measured, bias = evaluation.as_json(), evaluation.bias_as_json()
    run.folder.write_json("evaluation.json", measured)
    run.folder.write_json("bias.json", bias)
    assert_digest(run.journal, "metrics", json_digest([measured, bias]))
    run.folder.write_json("weak_slices.json", evaluation.weak_as_json())


@write_artifacts.register(Explanation)
def _(explanation: Explanation, run: "Run") -> None:
    """explain.json."""
    run.folder.write_json("explain.json", explanation.as_json())


@write_artifacts.register(Doubts)
def _(doubts: Doubts, run: "Run") -> None:
    """checks.json once more, if the final score adds a finding, which ends the run at `checks.fail_on`."""
    if doubts.final:
        run.folder.write_json("checks.json", [asdict(finding) for finding in (*doubts.final, *doubts.checks)])
        raise_on_findings(doubts.final, run.spec)


@write_artifacts.register(type(None))
def _(nothing: None, run: "Run") -> None:
    """Nothing: the spec did not ask for it."""


@write_artifacts.register(Verdict)
def _(verdict: Verdict, run: "Run") -> None:
    """scorecard.json."""
    run.folder.write_json("scorecard.json", {**verdict.as_json(), "model": run.facts["model"]})
