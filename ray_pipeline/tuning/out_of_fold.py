"""Whether a run has folds, and the winner on them: its scores out of fold decide calibration and threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ray_pipeline.bundle_members import Member
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.duration import as_timedelta
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.preprocessing.shards import Shard
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.backtests import MAX_CELLS, Sample, Trained
from ray_pipeline.tuning.final_fit import FINAL_FOLDER
from ray_pipeline.tuning.fit_choice import rounds_of_search
from ray_pipeline.tuning.fit_task import run_task
from ray_pipeline.tuning.folds import OutOfFold, assign_folds, check_classes, fit_folds
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.training_memory import training_context

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

ModelFiles = Path | Sequence[tuple[Member, Path]]
AUTO_FOLDS, SMALL_VALIDATION = 5, 1_000
"""Folds of `auto`, and the rows of validation below which it has any: there a share of one half has a standard error of
more than 1.6 points."""
AUTO_COST, AUTO_COST_IN_TIME = 0.5, 0.05
"""What folds of `auto` may cost: this share of the rounds that the search has trained of the winner's family, without
and with `search.time`."""


@dataclass(frozen=True, kw_only=True)
class FoldPlan:
    """How many folds there are, and whether the spec asks for them."""

    number: int
    asked: bool
    stratify: bool
    gap: float
    """In microseconds."""


def plan_folds(leaderboard: Leaderboard, encoded: Encoded, spec: Spec) -> FoldPlan:
    """Decide how many folds there are.

    With `auto` there are five where validation has fewer than 1,000 rows, the split is not by time, and the folds cost
    at most half of what the search has trained of the winner's family (5 % of it under `search.time`).
    """
    rows, best, params = encoded.rows, leaderboard.best, leaderboard.best.params
    number, asked = spec.split.folds, True
    if number == "auto":
        asked = spec.fit.on == "folds"
        cost = AUTO_FOLDS * (best.rounds + int(params[leaderboard.family.patience]))
        small = rows.rows["validation"] < SMALL_VALIDATION and spec.split.by != "time"
        allowed = AUTO_COST if spec.search.time is None else AUTO_COST_IN_TIME
        number = AUTO_FOLDS if asked or (small and cost <= allowed * rounds_of_search(leaderboard)) else 0
    cells = len(rows.encoders[leaderboard.family.encoder].columns) * (rows.rows["train"] + rows.rows["validation"])
    if number and cells > MAX_CELLS:
        found = f"folds take all rows into the memory of one worker: {cells:,} matrix cells, at most {MAX_CELLS:,}"
        fix = "write `folds: 0`; so many rows of validation need none"
        raise DataError(Problem(key="split.folds", stage="fit", found=found, fix=fix))
    gap = as_timedelta(getattr(spec.split, "gap", timedelta(0))) / timedelta(microseconds=1)
    return FoldPlan(number=number, asked=asked, stratify=bool(getattr(spec.split, "stratify", False)), gap=gap)


def out_of_fold(leaderboard: Leaderboard, encoded: Encoded, spec: Spec, run: "Run") -> OutOfFold | None:
    """Train the winner on folds of train and validation; None where the run has no folds.

    Raises
    ------
    DataError
        The spec asks for folds, and there are fewer groups than folds, or a class is in one fold only.
    """
    planned, best = plan_folds(leaderboard, encoded, spec), leaderboard.best
    if not planned.number or (spec.intervals and spec.intervals.quantiles):  # quantiles are calibrated on validation
        return None
    trained = Trained.of(best, spec)
    context = training_context(encoded, spec, run.layout, run.layout.fit_threads)
    return run_task(_fit, encoded.rows, trained, context, planned, layout=run.layout, what="the fit on folds")


def write_fold_models(folds: OutOfFold, leaderboard: Leaderboard, encoded: Encoded, run: "Run") -> ModelFiles:
    """Write the models of the folds, which count alike, as the members of a bundle."""
    best, family, files = leaderboard.best, leaderboard.family, list[tuple[Member, Path]]()
    width = len(encoded.rows.encoders[family.encoder].columns)
    for number, model in enumerate(folds.models):
        name = f"{FINAL_FOLDER}/{number}/{family.file}"
        run.folder.write(name, model)
        member = Member(
            weight=1 / len(folds.models),
            family=best.family,
            columns=(0, width),
            params=dict(best.params),
            rounds=folds.rounds,
            trial=best.trial,
        )
        files.append((member, run.folder.path / name))
    return files


def _fit(rows: EncodedRows, trained: Trained, context: TrainingContext, planned: FoldPlan) -> OutOfFold | None:
    """Fetch the rows, and fit a model for each fold; None where `auto` finds no good folds."""
    trained.model.warm_up()
    encoder = trained.model.encoder
    sample = Sample.of(Shard(rows, encoder, "train"), Shard(rows, encoder, "validation"), 1.0)
    if sample.order != "none" and not planned.asked:
        return None
    try:
        gap = planned.gap if sample.order == "time" else 0.0
        folds = assign_folds(sample, planned.number, stratify=planned.stratify, gap=gap)
        if rows.task != "regression":
            check_classes(sample, folds, rows.classes or ("0", "1"))
    except DataError:
        if planned.asked:
            raise
        return None
    return fit_folds(sample, folds, trained, context)
