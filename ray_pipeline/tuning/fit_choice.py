"""What the registered model is fitted on: `fit.on: auto` decides between the trial's own model and the refit.

The evidence are backtests of the refit (`backtests.py`) with the winner's hyperparameters. How many there are depends
on counts of rounds and rows, and never on a clock, so that a rerun decides the same.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.plain_json import json_digest
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.backtests import Backtest, Trained, backtest
from ray_pipeline.tuning.fit_task import run_task
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.time_budget import MAX_BACKTESTS, SHARE_OF_SEARCH
from ray_pipeline.tuning.training_memory import training_context

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

FitOn = Literal["train", "train+validation", "folds"]
STEP = "fit_on"
MIN_ROWS = 100
"""The least rows of validation."""
MIN_SHARE, MIN_SHARE_OF_SEVERAL = 0.3, 0.5
"""The least share of the rows that one backtest uses, and that each of several uses."""
AGAINST, FOR = 2.0, 1.0
"""Standard errors by which backtests must speak against a refit where rows are exchangeable, and for it otherwise."""


@dataclass(frozen=True, kw_only=True)
class FitChoice:
    """What the registered model is fitted on, and why."""

    on: FitOn
    why: str
    own_model: bool = False
    """Whether the registered model is the trial's own, which is trained on train."""
    backtests: tuple[Backtest, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object `fit` of model.json and of `run --json`."""
        return {"on": self.on, "why": self.why, "backtests": [asdict(one) for one in self.backtests]}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many backtests the search can afford, and on which share of the rows; one if the rows have no order."""

    number: int
    share: float


def choose_fit(leaderboard: Leaderboard, encoded: Encoded, spec: Spec, run: "Run") -> FitChoice:
    """Decide what the registered model is fitted on; a choice that is in the journal is not made again.

    Parameters
    ----------
    leaderboard
        The winner, and the trials that the cost of evidence is measured by.
    encoded
        The encoded rows.
    spec
        Its `fit.on` decides unless it is `auto`.
    run
        The context of the run.
    """
    if spec.fit.on != "auto":
        return FitChoice(on=spec.fit.on, why="the spec says so")
    asked = json_digest([leaderboard.best.trial, leaderboard.best.family, dict(leaderboard.best.params), spec.seed])
    recorded = run.journal.recorded(STEP)
    if recorded is None or recorded["asked"] != asked:
        found = _backtests(leaderboard, encoded, spec, run)
        recorded = {"asked": asked, "backtests": [asdict(one) for one in found]}
        run.journal.record(STEP, recorded)
    choice = decide([Backtest(**one) for one in recorded["backtests"]], spec.split.by == "time")
    run.progress.note(f"the model is fitted on {choice.on}: {choice.why}")
    return choice


def decide(backtests: Sequence[Backtest], by_time: bool) -> FitChoice:
    """Decide from the backtests.

    Where rows are exchangeable, more of them help: the refit is the default, and the backtests must speak against it by
    two standard errors. Where validation comes after train, the newest rows may mislead as well as help: the
    refit must gain in the backtests by one standard error.

    Parameters
    ----------
    backtests
        Their results; there may be none.
    by_time
        Whether the split is by time: what counts where there are no backtests.
    """
    ordered = by_time or any(one.order != "none" for one in backtests)
    if not backtests:
        why = "the search was too short for a backtest"
        why += ", and a refit must show that it helps where the parts are in order of time" if ordered else ""
        return _choice(not ordered, why, backtests)
    gain, error = mean_gain(backtests)
    refit = gain > FOR * error if ordered else gain >= -AGAINST * error
    times = f"{len(backtests)} backtest{'s' * (len(backtests) > 1)}"
    why = f"in {times} the refit changed the metric by {gain:+.4g} (standard error {error:.2g}; more is better)"
    return _choice(refit, why, backtests)


def mean_gain(backtests: Sequence[Backtest]) -> tuple[float, float]:
    """Return the mean gain of the refit and its standard error: of the rows, or between the backtests if that is more.

    >>> mean_gain([Backtest(order="none", rows=9, added=3, scored=3, gain=0.02, error=0.01)])
    (0.02, 0.01)
    """
    gains, errors = np.array([one.gain for one in backtests]), np.array([one.error for one in backtests])
    error = float(np.sqrt((errors**2).sum()) / len(errors))
    between = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    return float(gains.mean()), max(error, between)


def plan(leaderboard: Leaderboard, rows: int, validation: int) -> Plan:
    """Plan as many backtests as cost at most `SHARE_OF_SEARCH`: several of half of the rows before one of all.

    Two periods of time differ more than two halves of the rows of one.

    Parameters
    ----------
    leaderboard
        The trials of the search.
    rows
        Rows of train.
    validation
        Rows of validation.
    """
    best, family = leaderboard.best, leaderboard.family
    affordable = SHARE_OF_SEARCH * rounds_of_search(leaderboard) * rows
    kept, larger, cost = rows / max(rows + validation, 1), float(rows), 0.0
    planned = Plan(number=0, share=0.0)
    for number in range(1, MAX_BACKTESTS + 1):
        smaller = larger * kept
        cost += sum(part * family.refit_rounds(best.rounds, part / rows) for part in (smaller, larger))
        share, larger = min(1.0, affordable / cost), smaller
        if share >= (MIN_SHARE if number == 1 else MIN_SHARE_OF_SEVERAL) and share * validation >= MIN_ROWS:
            planned = Plan(number=number, share=share)
    return planned


def rounds_of_search(leaderboard: Leaderboard) -> float:
    """Return the rounds of all trials, in rounds of the winner's family.

    A trial of another family counts as much as the mean of the winner's, or ten times less for each order of magnitude
    by which its rows cost less (`row_cost`): a net must not spend what a hundred linear models earned.
    """
    own = [one for one in leaderboard.results if one.family == leaderboard.best.family]
    others = (find("models", one.family) for one in leaderboard.results if one.family != leaderboard.best.family)
    trials = sum(min(1.0, 10.0 ** (family.row_cost - leaderboard.family.row_cost)) for family in others)
    rounds = sum(max((done for done, _ in one.rungs), default=0) for one in own)
    return float(rounds * (1 + trials / len(own)))


def _choice(refit: bool, why: str, backtests: Sequence[Backtest]) -> FitChoice:
    on: FitOn = "train+validation" if refit else "train"
    return FitChoice(on=on, why=why, own_model=not refit, backtests=tuple(backtests))


def _backtests(leaderboard: Leaderboard, encoded: Encoded, spec: Spec, run: "Run") -> list[Backtest]:
    """Run the backtests that the search can afford, in one task with the threads of the final fit."""
    best, rows = leaderboard.best, encoded.rows.rows
    planned = plan(leaderboard, rows["train"], rows["validation"])
    if not planned.number:
        return []
    trained = Trained.of(best, spec)
    context = training_context(encoded, spec, run.layout, run.layout.fit_threads)
    asked = (encoded.rows, trained, context, planned.share, planned.number)
    return run_task(backtest, *asked, layout=run.layout, what="a backtest of the refit")
