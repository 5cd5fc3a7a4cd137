"""The refit: the winner is fitted once more, calibrated, and written as a bundle; every later score comes from it.

A proof goes with the bundle: rows as they were read, with the scores that the training run gives their encoded form.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ray_pipeline import encoded_block
from ray_pipeline.bundle import Bundle, write_bundle
from ray_pipeline.bundle_files import FORMAT
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.data.rows import KEY, LABEL
from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.evaluation.latency import ServingCosts
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.background import in_background
from ray_pipeline.runtime.progress import stage
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.final_models import FinalModels, fit_final_models
from ray_pipeline.tuning.fit_choice import FitChoice, choose_fit
from ray_pipeline.tuning.folds import OutOfFold
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.out_of_fold import out_of_fold
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.validate import Validation, validate
from ray_pipeline.values import Part, Vector

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

MODEL_FOLDER = "model"
PROOF_ROWS = 100


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Rows and scores that a registered version must repeat, bit for bit."""

    sample: pa.Table
    """Rows with the bundle's columns, as they were read."""
    scores: Vector
    """Their scores, computed on the rows as the training run encoded them; shape (n,) or (n, classes)."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The bundle, with the trial and the validation that it comes from."""

    bundle: Bundle
    encoder: str
    """The name of the encoder whose matrix it scores; of several, with `+` between them, side by side."""
    best: TrialResult
    """The trial that its hyperparameters are from."""
    choice: FitChoice
    """What it is fitted on, and why."""
    validation: Validation
    folds: OutOfFold | None
    """The winner on folds; None where the run has none."""
    proof: Proof

    @property
    def costs(self) -> ServingCosts:
        """Latency and size of the bundle, measured now."""
        return ServingCosts.of(self.bundle)


@stage("fit")
def refit(leaderboard: Leaderboard, encoded: Encoded, spec: Spec, run: "Run") -> TrainedModel:
    """Fit the winner on what `fit.on` says or decides, calibrate it on validation, and write the bundle.

    Calibration and threshold are chosen at the same time, with models that have not seen the rows: those of the folds,
    or the winning trial's own.

    Raises
    ------
    ResourceError
        Ray could not start the workers, or they died too often.
    PipelineError
        A saved model does not repeat its scores, or the bundle scores rows differently from the training run.
    """
    choice = choose_fit(leaderboard, encoded, spec, run)
    folds = None if leaderboard.members else out_of_fold(leaderboard, encoded, spec, run)
    on_gpu = run.layout.gpus > 0
    with in_background(lambda: validate(leaderboard, encoded, spec, folds, on_gpu=on_gpu)) as validated:
        final = fit_final_models(leaderboard, encoded, choice, folds, run)
        validation = validated()
    bundle = write_bundle(
        run.folder.path / MODEL_FOLDER,
        encoder=final.encoder.to_json(),
        model_file=final.files,
        model=_model_json(leaderboard, final, choice, spec),
        calibration=validation.calibrator.model_dump(mode="json"),
        schema=_schema_json(encoded, final.encoder, validation, spec, run.where.resolve(".", spec.folder)),
    )
    return TrainedModel(
        bundle=bundle,
        encoder=final.encoders,
        best=leaderboard.best,
        choice=choice,
        validation=validation,
        folds=folds,
        proof=_prove(bundle, encoded, final.encoders),
    )


def _prove(bundle: Bundle, encoded: Encoded, encoder: str) -> Proof:
    """Make the proof on 100 rows; raise `PipelineError` where the bundle's scores differ by a bit.

    They are training rows, or validation rows where training rows are encoded by the labels of other folds.
    """
    part: Part = "validation" if bundle.encoder.needs_folds else "train"
    samples = {"train": encoded.profile.sample, **encoded.profile.evaluation_samples}
    rows = samples[part].slice(0, PROOF_ROWS)
    for name, type_ in encoded.profile.declared.items():
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(type_))  # as they were read
    keys = rows[KEY].combine_chunks()

    def with_keys(table: pa.Table, first: int) -> pa.Table:
        own = table[encoded_block.KEY]
        return table.filter(pa.compute.is_in(own, keys.cast(own.type)))

    scores = dict[Any, Any]()  # by key: without a key column, equal rows have the same
    for block in encoded.rows.part(part, encoder, with_keys):
        scored = bundle.score_matrix(np.ascontiguousarray(block.matrix))
        scores.update(zip(block.rows[encoded_block.KEY].to_pylist(), scored, strict=True))
    trained, sample = np.asarray([scores[key] for key in keys.to_pylist()], np.float64), bundle.select(rows)
    if not np.array_equal(trained, bundle.score(sample)):
        found = "the bundle scores rows otherwise than the training run did"
        fix = "report this: it is a bug of ray-pipeline"
        raise PipelineError(Problem(stage="register", rows=len(sample), found=found, fix=fix))
    return Proof(sample=sample, scores=trained)


def _model_json(leaderboard: Leaderboard, final: FinalModels, choice: FitChoice, spec: Spec) -> dict[str, Any]:
    best = leaderboard.best
    model: dict[str, Any] = {
        "format": FORMAT,
        "family": final.family,
        "metric": spec.search.metric,
        "fit_on": choice.on,
        "fit": choice.as_json(),
    }
    if members := leaderboard.members:
        return {**model, "members": len(members), "validation": members[-1].value}
    own = {"params": dict(best.params), "rounds": final.rounds, "validation": best.metric, "trial": best.trial}
    return {**model, **own}


def _schema_json(encoded: Encoded, encoder: Encoder, validation: Validation, spec: Spec, base: str) -> dict[str, Any]:
    """The facts about rows that scoring needs."""
    written, labels, types = spec.as_data(), spec.features.labels, {**encoded.profile.types, **encoded.profile.declared}
    return {
        "format": FORMAT,
        "task": spec.task,
        "label": labels.label,
        "classes": list(encoded.profile.classes),
        **({"label_type": str(encoded.profile.sample[LABEL].type)} if spec.task == "multiclass" else {}),
        "threshold": validation.calibrated.threshold,
        **({"intervals": validation.regions.to_json()} if validation.regions else {}),
        "key": labels.key,
        "columns": [{"name": name, "type": str(types[name])} for name in encoder.reads],
        "features": written["features"],
        "select": written["select"],
        "base": base,
        "edges": dict(encoded.edges),
        "spec": spec.render(),
    }
