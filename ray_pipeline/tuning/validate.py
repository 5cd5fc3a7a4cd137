"""Validation after the search: the calibrator of the scores and the threshold are chosen on the validation part."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.conformal import Calibration as RegionCalibration
from ray_pipeline.evaluation.calibrate import calibrate, rates_agree
from ray_pipeline.evaluation.evaluate import finite
from ray_pipeline.evaluation.predict import part_ends, score_part
from ray_pipeline.evaluation.threshold import choose_threshold
from ray_pipeline.prediction_regions import class_scores
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.ensemble import ensemble_scores
from ray_pipeline.tuning.folds import OutOfFold
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.values import Predictions

CALIBRATION_METRICS = ("ece", "log_loss", "brier")


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The winner's scores on rows that it has not seen, before and after calibration, and the calibrator."""

    raw: Predictions
    calibrated: Predictions
    """With calibrated scores and the threshold; without a threshold unless the task is binary."""
    calibrator: Calibrator
    on: Literal["validation", "folds"] = "validation"
    regions: RegionCalibration | None = None
    """How intervals or sets follow from the scores; None where the spec asks for none."""

    def calibration_as_json(self) -> dict[str, Any] | None:
        """Return the content of calibration.json, metrics before and after calibration; None for regression."""
        if self.raw.task == "regression":
            return None
        sides = {"before": self.raw, "after": self.calibrated}
        metrics = {
            name: {side: finite(metric_of(name)(rows.label, rows.score, rows.weight)) for side, rows in sides.items()}
            for name in CALIBRATION_METRICS
        }
        return {"kind": self.calibrator.kind, "on": self.on, "rows": len(self.raw), **metrics}


def validate(
    leaderboard: Leaderboard, encoded: Encoded, spec: Spec, unseen: OutOfFold | None = None, *, on_gpu: bool = False
) -> Validation:
    """Calibrate and choose the threshold with models that have not seen the rows.

    They are those of the folds, on train and validation, or the winning trials' own models, on validation. `on_gpu`
    says that trials were scored on GPUs.

    Raises
    ------
    PipelineError
        The trial's saved model does not repeat its score.
    SpecError
        The threshold cannot be chosen as the spec asks.
    """
    raw = score_part(leaderboard.scorer(), encoded.rows, leaderboard.family.encoder, "validation")
    leaderboard.check_reproduced(raw, spec, on_gpu=on_gpu)
    if unseen is not None:
        fields = ("key", "label", "score", "weight", "cluster")
        raw = replace(raw, **{name: getattr(unseen, name) for name in fields}, columns={})
    elif leaderboard.members:
        raw = replace(raw, score=ensemble_scores(leaderboard))
    profile = encoded.profile
    same_rates = rates_agree(*profile.label_rates("train"), *profile.label_rates("validation"))
    calibrator = calibrate(raw, spec.evaluate.calibrate, same_rates=same_rates)
    calibrated = replace(raw, score=calibrator.apply(raw.score))
    threshold = choose_threshold(calibrated, spec.evaluate.threshold)
    return Validation(
        raw=raw,
        calibrated=replace(calibrated, threshold=threshold),
        calibrator=calibrator,
        on="validation" if unseen is None else "folds",
        regions=_regions(leaderboard, encoded, calibrated, spec),
    )


def _regions(
    leaderboard: Leaderboard, encoded: Encoded, validation: Predictions, spec: Spec
) -> RegionCalibration | None:
    """Calibrate intervals or sets where the spec asks for them."""
    if spec.intervals is None:
        return None
    ends = None
    if spec.intervals.quantiles:
        quantiles = leaderboard.family.quantiles(leaderboard.model_folder(leaderboard.best))
        ends = part_ends(
            lambda matrix: quantiles(matrix)[:, [0, -1]], encoded.rows, leaderboard.family.encoder, "validation"
        )
    score = class_scores(spec.task, validation.score)
    return RegionCalibration.fit(validation.label, score, validation.weight, spec.intervals.coverage, ends)
