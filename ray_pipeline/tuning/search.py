"""Steps 4 to 6: hyperparameters, by Ray Tune over slots. `proposals` decides, `keeper` remembers, `carry` brings trials
to the slots and back."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Model, Scorer, TrainingContext
from ray_pipeline.errors import NoTrialFinished, PipelineError, Problem, ResourceError, listed
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.runtime.plan import Plan
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.family_allocation import FamilyAllocation
from ray_pipeline.tuning.sampler import Sampler, TrialResult, rungs
from ray_pipeline.tuning.trial_store import Tell, TrialStore
from ray_pipeline.tuning.tune_runner import run_trials
from ray_pipeline.tuning.warm_start import WarmStart
from ray_pipeline.values import Predictions

MIN_WINDOW, MAX_WINDOW = 4, 32
CELL_BYTES, ROW_BYTES = 2.5, 52
"""Of a quantised matrix and all that boosting on it takes, at its highest: bins twice (by rows and by columns); row
pointers, positions, gradients, labels
and predictions. Measured by `benchmarks/bench_footprint.py`."""


@dataclass(frozen=True)
class Leaderboard:
    """Every trial, and the one whose model is refitted."""

    results: tuple[TrialResult, ...]
    best: TrialResult
    trials: Path
    """Where the finalists' own models lie, trained on train only, each in a folder by its trial's number."""
    finalists: tuple[TrialResult, ...]
    """The best trial of each family, best first."""

    @property
    def family(self) -> type[Model]:
        """The winner's."""
        return find("models", self.best.family)  # type: ignore[no-any-return]

    def scorer(self) -> Scorer:
        """What the winning trial's saved model scores with."""
        return self.scorer_of(self.best)

    def scorer_of(self, finalist: TrialResult) -> Scorer:
        """What that finalist's saved model scores with."""
        return find("models", finalist.family).load(self.model_folder(finalist))  # type: ignore[no-any-return]

    def model_folder(self, finalist: TrialResult) -> Path:
        """The folder of its model."""
        return self.trials / f"{finalist.trial:04d}"

    def check_reproduced(self, validation: Predictions, spec: Spec) -> None:
        """Raises if the winning trial's saved model does not repeat the score that the trial reported."""
        again = metric_of(spec.search.metric)(validation.label, validation.score, validation.weight)
        if self.best.metric is None or not np.isclose(again, self.best.metric, rtol=1e-7, atol=1e-9):
            raise PipelineError(
                Problem(
                    stage="search",
                    found=(
                        f"trial {self.best.trial} reported {self.best.metric!r}, but its saved model scores {again!r}"
                    ),
                    fix="report this: it is a bug of ray-pipeline",
                )
            )


def warm_up() -> None:
    """Imports what the search needs; 3 s that other stages can hide."""
    import optuna  # noqa: F401
    from ray import tune  # noqa: F401


def training_context(spec: Spec, profile: Profile, encoded: Encoded, plan: Plan) -> TrainingContext:
    """What every fit of the run has in common."""
    cardinalities = {word: encoder.cardinalities for word, encoder in encoded.encoders.items()}
    columns = max(len(of_each) for of_each in cardinalities.values())
    external = num_bytes_trained(sum(encoded.rows.values()), columns, plan) > plan.memory
    device = "cuda" if plan.gpus else "cpu"
    weights = profile.class_weight(spec.fit.class_weight)
    return TrainingContext(
        spec.task,
        len(profile.classes),
        cardinalities,
        plan.threads,
        device,
        weights,
        encoded.rows["train"],
        encoded.min_label,
        external,
    )


def num_bytes_trained(rows: int, columns: int, plan: Plan) -> float:
    """What one worker holds of the rows it trains on."""
    return rows * (CELL_BYTES * columns + ROW_BYTES) / plan.workers


def search(
    spec: Spec,
    encoded: Encoded,
    context: TrainingContext,
    plan: Plan,
    folder: RunFolder,
    tell: Tell,
    warm: WarmStart | None = None,
) -> Leaderboard:
    """The leaderboard of `spec.search`; trials that the journal already knows are not run again. `warm` is tried right
    after its family's default.

    Raises:
        NoTrialFinished: every trial failed; the first cause is told.
        ResourceError: the cluster could not start a slot, or a family cannot train on as many workers.
    """
    proposals, halving = _contest(spec, context, warm), spec.search.scheduler == "asha"
    _refuse_workers(spec, plan)
    trial_store = TrialStore(
        spec, proposals, lambda budget: rungs(budget, halving, encoded.rows["train"]), folder, tell
    )
    if trial_store.pending():
        run_trials(spec, encoded, context, plan, trial_store, folder.path / ".tune")
    results = tuple(proposals.results[i] for i in sorted(proposals.results))
    if proposals.best is None:
        failed, stopped = ([o for o in results if o.status == status] for status in ("failed", "stopped"))
        found = f"0 of {len(results)} trials finished: {len(failed)} failed, {len(stopped)} were stopped"
        if not failed and (first := next((o for o in stopped if o.why), None)):
            found += f"; trial {first.trial}: {first.why}"
        fix = (
            f"the first failed with: {failed[0].why}; run with --debug for more"
            if failed
            else "give `search.trial_seconds`, `latency_ms` or `time` more"
        )
        raise NoTrialFinished(Problem(stage="search", found=found, fix=fix))
    return Leaderboard(results, proposals.best, folder.path / "trials", tuple(proposals.finalists.values()))


def _refuse_workers(spec: Spec, plan: Plan) -> None:
    """Several workers train one model by a collective, which a slot sets up once for all of its trials."""
    by = {family: find("models", family).collective for family in spec.model}
    alone = [family for family, collective in by.items() if collective is None]
    if plan.workers == 1 or (not alone and len(set(by.values())) == 1):
        return
    found = f"{listed(alone)} trains on one" if alone else f"{listed(by)} do not train by the same collective"
    fix = "leave `workers_per_trial` out" + ("" if len(by) == 1 else ", or search one family at a time")
    raise ResourceError(
        Problem(
            key="workers_per_trial", stage="search", found=f"{plan.workers} workers per trial, but {found}", fix=fix
        )
    )


def _contest(spec: Spec, context: TrainingContext, warm: WarmStart | None) -> FamilyAllocation:
    window = min(MAX_WINDOW, max(MIN_WINDOW, spec.search.trials // 8)) if spec.search.deterministic else None
    metric = metric_of(spec.search.metric)
    families = []
    for family, model in spec.model.items():
        kind = find("models", family)
        integers = frozenset(
            name for name, info in type(model).model_fields.items() if "int" in str(info.annotation).split("|")[0]
        )
        families.append(
            Sampler(
                family,
                kind.space(model, context),
                kind.start,
                integers,
                spec.search.trials,
                spec.search.seed,
                metric.better,
                spec.search.searcher,
                spec.search.scheduler == "asha",
                window=window,
                warm=warm.params if warm and warm.family == family else None,
            )
        )
    return FamilyAllocation(families, spec.search.trials, window)
