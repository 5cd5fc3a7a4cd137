"""Folds inside train + validation: each row is scored by a model that has not seen it, nor any row of its group.

The fold of a row is a pure function of its key or group. Where validation comes after train, a fold is a stretch of
time, and its model sees earlier rows only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import DataError, Problem, listed
from ray_pipeline.group_classes import group_classes
from ray_pipeline.hashing import distinct, mix, uniform
from ray_pipeline.tuning.backtests import Rows, Sample, Trained, advanced, begin
from ray_pipeline.tuning.trial_worker import EVALUATIONS
from ray_pipeline.values import Vector

FOLD_SEED = np.uint64(0x9E6C63D0876A9A47)


@dataclass(frozen=True, kw_only=True)
class Folds:
    """The rows that each fold's model is trained on, and those that it scores."""

    train: tuple[Rows, ...]
    scored: tuple[Rows, ...]

    def __len__(self) -> int:
        return len(self.train)


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfFold:
    """What the models of the folds say of rows that they have not seen."""

    rows: Rows
    """The places of the scored rows, fold after fold."""
    key: NDArray[Any]
    label: Vector
    score: Vector
    """Shape (rows,), or (rows, classes)."""
    weight: Vector
    cluster: NDArray[np.uint64]
    rounds: int
    """The rounds of every model: those with the best metric over all scored rows."""
    order: str
    by_fold: tuple[dict[str, float], ...]
    """For each fold its rows of training and scoring, and the metric of the latter."""
    models: tuple[bytes, ...]

    def as_json(self, metric: str) -> dict[str, Any]:
        """The content of folds.json."""
        value = float(metric_of(metric)(self.label, self.score, self.weight))
        about = {"order": self.order, "rounds": self.rounds, "rows": len(self.rows), "metric": metric, "value": value}
        return {"folds": len(self.by_fold), **about, "by_fold": list(self.by_fold)}


def assign_folds(sample: Sample, number: int, *, stratify: bool = False, gap: float = 0.0) -> Folds:
    """Assign rows to folds.

    Parameters
    ----------
    sample
        The rows of train and validation.
    number
        How many folds.
    stratify
        Whether each class has the same share of every fold; a group has the class of most of its rows. Then folds are
        not stable when rows are added.
    gap
        The last rows before a fold, in the unit of the order, that its model does not see.

    Raises
    ------
    DataError
        There are fewer groups than folds.
    """
    if sample.order != "none":
        return _in_order(sample, number, gap)
    units = distinct(sample.unit)
    if len(units) < number:
        found = f"{number} folds, but train and validation have {len(units)} groups or rows"
        fix = f"write at most {len(units)}, or 0"
        raise DataError(Problem(key="split.folds", stage="fit", rows=len(sample.unit), found=found, fix=fix))
    alone = len(units) == len(sample.unit)
    stratified = _stratified if alone else _stratified_groups
    fold = stratified(sample, number) if stratify else _by_hash(sample, units, number)
    places = [np.flatnonzero(fold == one) for one in range(number)]
    if not all(map(len, places)):
        found = f"{number} folds of {len(units)} rows: one of them is empty"
        raise DataError(Problem(key="split.folds", stage="fit", rows=len(units), found=found, fix="write fewer, or 0"))
    return Folds(train=tuple(np.flatnonzero(fold != one) for one in range(number)), scored=tuple(places))


def check_classes(sample: Sample, folds: Folds, classes: Sequence[str]) -> None:
    """Check that the model of each fold sees each class that it is to score.

    Raises
    ------
    DataError
        A class is in one fold only.
    """
    alone = []
    for train, scored in zip(folds.train, folds.scored, strict=True):
        unseen = np.setdiff1d(sample.label[scored], sample.label[train])
        alone += [f"{classes[int(code)]!r} ({int((sample.label[scored] == code).sum())} rows)" for code in unseen]
    if alone:
        found = (
            f"a model of the other folds has not seen {listed(alone)}: all its rows are in one fold, or in none before"
        )
        fix = "write `stratify: true`, fewer folds, or `folds: 0`"
        raise DataError(Problem(key="split.folds", stage="fit", found=found, fix=fix))


def fit_folds(sample: Sample, folds: Folds, trained: Trained, context: TrainingContext) -> OutOfFold:
    """Train a model for each fold, all in step, until the metric of all scored rows no longer improves.

    Parameters
    ----------
    sample
        The rows of train and validation.
    folds
        Their folds.
    trained
        The winner of the search: family, hyperparameters, metric and seed.
    context
        What all fits of the run have in common.
    """
    family, params = trained.model, dict(trained.params)
    metric, rows = metric_of(trained.metric), np.concatenate(folds.scored)
    label, weight = sample.label[rows], sample.weight[rows]
    trainings = [begin(sample, *parts, trained, context) for parts in zip(folds.train, folds.scored, strict=True)]
    budget, patience = int(params[family.budget]), int(params[family.patience])
    best, best_rounds, score, done = -np.inf, 0, np.empty(0), 0
    while done < budget and done - best_rounds < patience:
        done = min(done + max(1, patience // EVALUATIONS), budget)
        scores = np.concatenate([advanced(training, done) for training in trainings])
        value = metric.sign * float(metric(label, scores, weight))
        if value > best or not best_rounds:
            best, best_rounds, score = value, done, scores
    ends = np.cumsum([len(some) for some in folds.scored])
    values = [
        float(metric(*some)) for some in zip(*(np.split(one, ends[:-1]) for one in (label, score, weight)), strict=True)
    ]
    return OutOfFold(
        rows=rows,
        key=sample.key[rows],
        label=label,
        score=score,
        weight=weight,
        cluster=sample.cluster[rows],
        rounds=best_rounds,
        order=sample.order,
        by_fold=tuple(
            {"train": len(train), "scored": len(scored), "value": value}
            for train, scored, value in zip(folds.train, folds.scored, values, strict=True)
        ),
        models=tuple(training.model(best_rounds) for training in trainings),
    )


def _by_hash(sample: Sample, units: NDArray[np.uint64], number: int) -> NDArray[np.intp]:
    """Rows by the hash of their key; groups, which may be few, in turn by the rank of their hash."""
    if len(units) == len(sample.unit):
        return np.floor(uniform(mix(sample.unit ^ FOLD_SEED)) * number).astype(np.intp)
    rank = np.argsort(np.argsort(mix(units ^ FOLD_SEED)))
    return rank[np.searchsorted(units, sample.unit)] % number


def _stratified(sample: Sample, number: int) -> NDArray[np.intp]:
    """The rows of each class in turn, by the rank of their hash."""
    order = np.lexsort((mix(sample.unit ^ FOLD_SEED), sample.label))
    first = np.searchsorted(sample.label[order], sample.label[order])
    fold = np.empty(len(order), np.intp)
    fold[order] = (np.arange(len(order)) - first) % number
    return fold


def _stratified_groups(sample: Sample, number: int) -> NDArray[np.intp]:
    """The groups of each class in turn, the largest first, so that their rows differ by one group at most."""
    groups, classes, rows = group_classes(sample.unit, sample.label)
    fold = np.empty(len(groups), np.intp)
    fold[np.lexsort((mix(groups ^ FOLD_SEED), -rows, classes))] = np.arange(len(groups)) % number
    return fold[np.searchsorted(groups, sample.unit)]


def _in_order(sample: Sample, number: int, gap: float) -> Folds:
    """Equal stretches of rows, the first of which is only trained on; ties stay together."""
    cuts = np.quantile(sample.place, np.arange(1, number + 1) / (number + 1), method="higher")
    ends = [*cuts[1:], np.inf]
    train = [np.flatnonzero(sample.place < cut - gap) for cut in cuts]
    scored = [np.flatnonzero((sample.place >= cut) & (sample.place < end)) for cut, end in zip(cuts, ends, strict=True)]
    kept = [place for place in range(number) if len(train[place]) and len(scored[place])]
    if len(kept) < number:
        found = f"{number} folds in order of {sample.order}, but only {len(kept)} of them have rows before them"
        fix = "write fewer folds, or 0; or shorten the gap"
        raise DataError(Problem(key="split.folds", stage="fit", rows=len(sample.place), found=found, fix=fix))
    return Folds(train=tuple(train), scored=tuple(scored))
