"""The winner is fitted once more, calibrated, and written as a bundle: every later score comes from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ray_pipeline.bundle import FORMAT, Bundle, write_bundle
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.background import in_background
from ray_pipeline.runtime.progress import stage
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.final_fit import fit_winner
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.proof import Proof, prove
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.validate import Validation, validate

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

MODEL_FOLDER = "model"


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The bundle, and how it came to be."""

    bundle: Bundle
    encoder: str
    """The name of the encoder whose matrix it scores."""
    best: TrialResult
    """The trial whose hyperparameters it has."""
    validation: Validation
    proof: Proof

    @property
    def costs(self) -> ServingCosts:
        """Latency and size, measured now."""
        return ServingCosts.of(self.bundle)


@stage("fit")
def refit(leaderboard: Leaderboard, encoded: Encoded, spec: Spec, run: "Run") -> TrainedModel:
    """Fit the winner on `fit.on`, calibrate it on validation, and write the bundle.

    Calibration and threshold are decided beside the fit, with the winning trial's own model.

    Raises
    ------
    ResourceError
        Ray could not start the workers, or they died too often.
    PipelineError
        A saved model does not repeat its scores.
    """
    with in_background(lambda: validate(leaderboard, encoded, spec)) as validated:
        model_file = fit_winner(leaderboard, encoded, spec, run)
        validation = validated()
    encoder = leaderboard.family.encoder
    bundle = write_bundle(
        run.folder.path / MODEL_FOLDER,
        encoder=encoded.rows.encoders[encoder].to_json(),
        model_file=model_file,
        model=_model_json(leaderboard.best, spec),
        calibration=validation.calibrator.model_dump(mode="json"),
        schema=_schema_json(encoded, encoder, validation.threshold, spec, run.where.resolve(".", spec.folder)),
    )
    return TrainedModel(
        bundle=bundle,
        encoder=encoder,
        best=leaderboard.best,
        validation=validation,
        proof=prove(bundle, encoded, encoder),
    )


def _model_json(best: TrialResult, spec: Spec) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "family": best.family,
        "params": dict(best.params),
        "rounds": best.rounds,
        "metric": spec.search.metric,
        "validation": best.metric,
        "trial": best.trial,
        "fit_on": spec.fit.on,
    }


def _schema_json(encoded: Encoded, encoder: str, threshold: float | None, spec: Spec, base: str) -> dict[str, Any]:
    """What scoring must know of the rows."""
    written, labels, types = spec.as_data(), spec.features.labels, encoded.profile.types
    return {
        "format": FORMAT,
        "task": spec.task,
        "label": labels.label,
        "classes": list(encoded.profile.classes),
        "threshold": threshold,
        "key": labels.key,
        "columns": [{"name": name, "type": str(types[name])} for name in encoded.rows.encoders[encoder].reads],
        "features": written["features"],
        "select": written["select"],
        "base": base,
        "edges": dict(encoded.edges),
        "spec": spec.render(),
    }
