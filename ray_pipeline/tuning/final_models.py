"""The final models of a bundle: one for the winner, or one for each member of the ensemble, fitted by the same rule."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ray_pipeline.bundle_members import Member, side_by_side
from ray_pipeline.components.choice import find
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.encoded_block import JOIN
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.runtime.background import in_background
from ray_pipeline.tuning.final_fit import fit_winner, fitted_rounds
from ray_pipeline.tuning.fit_choice import FitChoice
from ray_pipeline.tuning.folds import OutOfFold
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.out_of_fold import ModelFiles, write_fold_models
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.tuning.time_budget import refits_at_once, threads_of_member

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run

ENSEMBLE = "ensemble"
"""What stands for a family where several models are scored as one."""


@dataclass(frozen=True, kw_only=True)
class FinalModels:
    """What goes into the bundle."""

    family: str
    """The family of the only model, or `ensemble`."""
    encoders: str
    """The names of the encoders whose matrices the models read, side by side, with `+` between them."""
    encoder: Encoder
    """It makes that matrix."""
    files: ModelFiles
    """The file of the only model, or the members with a file each."""
    rounds: int | None = None
    """Of the only model."""


def fit_final_models(
    leaderboard: Leaderboard, encoded: Encoded, choice: FitChoice, folds: OutOfFold | None, run: "Run"
) -> FinalModels:
    """Fit the winner, or each member of the ensemble, on what was chosen for the winner.

    Parameters
    ----------
    leaderboard
        The winner, and the ensemble where there is one.
    encoded
        The encoded rows.
    choice
        What the models are fitted on.
    folds
        The winner on folds: its models are the final ones where `choice` says so.
    run
        The context of the run.

    Raises
    ------
    ResourceError
        Ray could not start the workers, or they died too often.
    """
    if not leaderboard.members:
        name = leaderboard.family.encoder
        best, encoder = leaderboard.best, encoded.rows.encoders[name]
        files: ModelFiles
        if folds is not None and choice.on == "folds":
            files, rounds = write_fold_models(folds, leaderboard, encoded, run), folds.rounds
        else:
            files = fit_winner(leaderboard, encoded, choice, run)
            rounds = fitted_rounds(best, encoded.rows.rows, choice)
        return FinalModels(family=best.family, encoders=name, encoder=encoder, files=files, rounds=rounds)
    return _fit_members(leaderboard, encoded, choice, run)


def _fit_members(leaderboard: Leaderboard, encoded: Encoded, choice: FitChoice, run: "Run") -> FinalModels:
    names = {member.trial: find("models", member.family).encoder for member in leaderboard.members}
    encoder, columns = side_by_side({name: encoded.rows.encoders[name] for name in names.values()})
    by_trial, made = {result.trial: result for result in leaderboard.results}, list[Member]()
    for one in leaderboard.members:
        result = by_trial[one.trial]
        member = Member(
            weight=one.weight,
            family=one.family,
            columns=columns[names[one.trial]],
            params=dict(result.params),
            rounds=fitted_rounds(result, encoded.rows.rows, choice),
            trial=one.trial,
        )
        made.append(member)
    results = [by_trial[one.trial] for one in leaderboard.members]
    layout = replace(run.layout, fit_threads=threads_of_member(encoded.rows.rows, run.layout))
    lanes = min(len(results), refits_at_once(run.layout, encoded.rows.rows))
    fitted: dict[int, Path] = {}

    def fit(some: Sequence[TrialResult]) -> None:
        for one in some:
            board = replace(leaderboard, best=one)
            fitted[one.trial] = fit_winner(board, encoded, choice, run, f"fit-{one.trial:04d}", layout)

    longest_first = sorted(results, key=lambda one: (-one.seconds, one.trial))
    with ExitStack() as others:
        for lane in range(1, lanes):
            others.enter_context(in_background(partial(fit, longest_first[lane::lanes])))
        fit(longest_first[::lanes])
    files = [(member, fitted[member.trial]) for member in made]
    return FinalModels(family=ENSEMBLE, encoders=JOIN.join(columns), encoder=encoder, files=files)
