"""What the validation part says once the search is over: what the winner had to beat, how far the other families are
behind, how its scores become decisions."""

from dataclasses import dataclass

from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.evaluation.baselines import Baseline
from ray_pipeline.evaluation.calibrate import calibrate, rates_agree
from ray_pipeline.evaluation.predict import predict, rescaled
from ray_pipeline.evaluation.threshold import choose_threshold
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.family_ranking import Rank, rank
from ray_pipeline.tuning.search import Leaderboard
from ray_pipeline.values import Predictions


@dataclass(frozen=True)
class Validated:
    """The winner's scores on validation before and after calibration, and all that was decided on them."""

    raw: Predictions
    rescaled: Predictions
    calibrator: Calibrator
    threshold: float | None
    baselines: tuple[Baseline, ...]
    families: tuple[Rank, ...]


def validate(
    leaderboard: Leaderboard, encoded: Encoded, baselines: tuple[Baseline, ...], profile: Profile, spec: Spec
) -> Validated:
    """The validation part, judged with the winning trial's own model, which has never seen it.

    Raises:
        PipelineError: the trial's saved model does not repeat its score.
        SpecError: the threshold cannot be chosen as the spec asks.
    """
    raw = predict(leaderboard.scorer(), encoded, leaderboard.family.encoder, "validation", spec, profile.classes)
    leaderboard.check_reproduced(raw, spec)
    same_rates = rates_agree(*profile.label_rates("train"), *profile.label_rates("validation"))
    calibrator = calibrate(raw, spec.evaluate.calibrate, same_rates=same_rates)
    decided = rescaled(raw, calibrator)
    return Validated(
        raw,
        decided,
        calibrator,
        choose_threshold(decided, spec.evaluate.threshold),
        baselines,
        rank(leaderboard, encoded, spec, profile.classes),
    )
