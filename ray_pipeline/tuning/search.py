"""The search for hyperparameters, by Ray Tune on slots.

The sampler proposes trials, the pruner stops them, the family allocation divides them among the families, the trial
store records them, and the Tune runner runs them on slots.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.conformal import require_rows
from ray_pipeline.errors import NoTrialFinished, Problem, ResourceError, listed
from ray_pipeline.evaluation.baselines import Baseline, baselines
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.background import in_background
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.runtime.progress import stage
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.ensemble import candidates_of_each_family, choose_ensemble
from ray_pipeline.tuning.family_allocation import FamilyAllocation
from ray_pipeline.tuning.leaderboard import Leaderboard, choose_family, rank_families
from ray_pipeline.tuning.likely_members import LikelyMembers
from ray_pipeline.tuning.pruner import rungs_of
from ray_pipeline.tuning.recorded_trials import RecordedTrials, repeats_trials, undecided
from ray_pipeline.tuning.sampler import Sampler, TrialResult
from ray_pipeline.tuning.time_budget import TimeBudget, refit_share, refits_at_once
from ray_pipeline.tuning.training_memory import training_context
from ray_pipeline.tuning.trial_store import FOLDER, TrialStore
from ray_pipeline.tuning.warm_start import WarmStart

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

MIN_WINDOW, MAX_WINDOW = 6, 32
TUNE_FOLDER = ".tune"


@stage("search")
def search(encoded: Encoded, spec: Spec, run: "Run") -> Leaderboard:
    """Search the hyperparameters of `spec.model`; trials that are in the journal are not run again.

    The baselines are scored at the same time.

    Raises
    ------
    NoTrialFinished
        Every trial failed or was stopped; the message has the first reason.
    ResourceError
        The cluster could not start a slot, or a family cannot train on as many workers.
    """
    _check_workers(spec, run.layout)
    if spec.intervals is not None:
        require_rows(encoded.rows.rows["validation"], spec.intervals.coverage)
    rows, context = encoded.rows, training_context(encoded, spec, run.layout, run.layout.threads)
    repeats = repeats_trials(spec, run)
    allocation = allocate(undecided(spec) if repeats else spec, context, run.warm_start)
    halving, num_rows = spec.search.scheduler == "asha", rows.rows["train"]
    trial_store = (RecordedTrials if repeats else TrialStore)(
        allocation,
        lambda budget: rungs_of(budget, halving, num_rows),
        run,
        TimeBudget.of(
            spec,
            refit_share=refit_share(run.layout, rows.rows, spec),
            refits_at_once=refits_at_once(run.layout, rows.rows),
        ),
        candidates=(num_candidates := candidates_of_each_family(spec, rows)),
        members_of=LikelyMembers(rows, spec, run.folder.path / FOLDER),
    )
    with in_background(lambda: _beside_trials(rows, context, spec)) as scored_baselines:
        if trial_store.pending():
            from ray_pipeline.tuning.tune_runner import run_trials

            run_trials(trial_store, rows, context, run.layout, run.folder.path / TUNE_FOLDER)
        results = tuple(allocation.results[number] for number in sorted(allocation.results))
        if allocation.best is None:
            raise NoTrialFinished(_why_none_finished(results))
        leaderboard = Leaderboard(
            results=results,
            best=allocation.best,
            finalists=tuple(allocation.finalists.values()),
            models=run.folder.path / FOLDER,
            candidates=tuple(allocation.candidates(num_candidates)),
            baselines=scored_baselines(),
        )
    leaderboard = choose_family(leaderboard, rank_families(leaderboard, rows, spec))
    refit_seconds = trial_store.budget.for_refits(leaderboard.best, allocation.best)
    return replace(leaderboard, ensemble=choose_ensemble(leaderboard, rows, spec, run, refit_seconds))


def allocate(spec: Spec, context: TrainingContext, warm: WarmStart | None) -> FamilyAllocation:
    """Make the samplers of the spec's families, and the allocation of trials to them.

    Parameters
    ----------
    spec
        Names the families, the metric, and the number of trials.
    context
        What all fits of the run have in common; the spaces of some families depend on it.
    warm
        Hyperparameters of an earlier winner; None without a warm start.
    """
    trials, better = spec.search.trials, metric_of(spec.search.metric).better
    window = min(MAX_WINDOW, max(MIN_WINDOW, trials // 8)) if spec.search.deterministic else None
    samplers = {}
    for name, model in spec.model.items():
        family, fields = find("models", name), type(model).model_fields
        samplers[name] = Sampler(
            family=name,
            space=family.space(model, context),
            start=family.start,
            integers=frozenset(param for param, info in fields.items() if "int" in str(info.annotation).split("|")[0]),
            num_trials=trials,
            seed=spec.search.seed,
            better=better,
            searcher=spec.search.searcher,
            halving=spec.search.scheduler == "asha",
            window=window,
            warm=warm.params if warm and warm.family == name else None,
        )
    costs = {name: 10.0 ** find("models", name).row_cost for name in samplers}
    return FamilyAllocation(families=samplers, num_trials=trials, window=window, costs=costs)


def _beside_trials(rows: EncodedRows, context: TrainingContext, spec: Spec) -> tuple[Baseline, ...]:
    """Score the baselines, and import what the models of several families are ranked with: it takes 2.5 s."""
    scored = baselines(rows, context, spec)
    if len(spec.model) > 1:
        for family in spec.model:
            find("models", family).warm_up()
    return scored


def _check_workers(spec: Spec, layout: Layout) -> None:
    """Raise `ResourceError` where the families cannot train on as many workers.

    Several workers train one model by a collective, which a slot sets up once for all its trials.
    """
    collectives = {family: find("models", family).collective for family in spec.model}
    alone = [family for family, collective in collectives.items() if collective is None]
    if layout.workers == 1 or (not alone and len(set(collectives.values())) == 1):
        return
    why = f"{listed(alone)} trains on one" if alone else f"{listed(collectives)} do not train by the same collective"
    fix = "leave `workers_per_trial` out" + ("" if len(collectives) == 1 else ", or search one family at a time")
    found = f"{layout.workers} workers per trial, but {why}"
    raise ResourceError(Problem(key="workers_per_trial", stage="search", found=found, fix=fix))


def _why_none_finished(results: Sequence[TrialResult]) -> Problem:
    failed, stopped = ([r for r in results if r.status == status] for status in ("failed", "stopped"))
    found = f"0 of {len(results)} trials finished: {len(failed)} failed, {len(stopped)} were stopped"
    if not failed and (first := next((result for result in stopped if result.why), None)):
        found += f"; trial {first.trial}: {first.why}"
    fix = "give `search.trial_seconds`, `latency_ms` or `time` more"
    if failed:
        fix = f"the first failed with: {failed[0].why}; run with --debug for more"
    return Problem(stage="search", found=found, fix=fix)
