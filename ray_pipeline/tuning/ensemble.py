"""The ensemble of a search: chosen among its best trials by their scores on validation, and recorded.

A resumed run and a rerun take the recorded choice: latencies and seconds are measured, and would not come out alike.
"""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from ray_pipeline import encoded_block
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Scores
from ray_pipeline.errors import listed
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runtime.layout import Layout
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.ensemble_selection import Cap, Caps, Ensemble, EnsembleMember, Worth, select
from ray_pipeline.tuning.time_budget import refit_share, refits_at_once, trained_s
from ray_pipeline.tuning.trial_store import SCORES_FILE
from ray_pipeline.values import Vector

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run
    from ray_pipeline.tuning.leaderboard import Leaderboard
    from ray_pipeline.tuning.sampler import TrialResult

STEP = "ensemble"
CANDIDATES, SCORES_BYTES = 24, 256 << 20
"""Trials that keep model and scores, over all families; and the most bytes of their scores, in float32."""
SELECTION_ROWS = 50_000
"""Rows of validation that a selection looks at; of more rows every second, every third, and so on."""


def candidates_of_each_family(spec: Spec, rows: EncodedRows) -> int:
    """Return how many of each family's best trials keep their model and scores; 0 without an ensemble.

    Together they are about 24, or fewer where the scores of so many would take more than 256 MiB.
    """
    if spec.ensemble == "off":
        return 0
    outputs = len(rows.classes) if spec.task == "multiclass" else 1
    affordable = SCORES_BYTES // (4 * outputs * max(rows.rows["validation"], 1))
    return math.ceil(max(2, min(CANDIDATES, affordable)) / len(spec.model))


def choose_ensemble(
    leaderboard: "Leaderboard", rows: EncodedRows, spec: Spec, run: "Run", refit_seconds: float
) -> Ensemble | None:
    """Choose the ensemble of the spec, and record it; a choice that is in the journal is not made again.

    Parameters
    ----------
    leaderboard
        The trials to choose from.
    rows
        The encoded rows.
    spec
        What an ensemble may cost.
    run
        The context of the run.
    refit_seconds
        The seconds that the refits of all members may take.

    Returns
    -------
    Ensemble or None
        Without members where an ensemble would not be better than the best trial; None where the spec asks for none.
    """
    if spec.ensemble == "off":
        return None
    recorded = run.journal.recorded(STEP)
    if recorded is not None:
        return Ensemble.from_json(recorded)
    ensemble = _Selection(leaderboard, rows, spec, run.layout, refit_seconds).ensemble()
    run.journal.record(STEP, asdict(ensemble))
    return ensemble


class _Selection:
    """The candidates of one search with their scores and costs."""

    def __init__(
        self, leaderboard: "Leaderboard", rows: EncodedRows, spec: Spec, layout: Layout, refit_seconds: float
    ) -> None:
        self.leaderboard, self.rows, self.spec, self.layout = leaderboard, rows, spec, layout
        self.refit_seconds = refit_seconds
        self.candidates = leaderboard.candidates
        self.scores: list[Scores] = [scores_of(leaderboard, one) for one in self.candidates]
        self.metric = metric_of(spec.search.metric)
        blocks = rows.part("validation", next(iter(rows.encoders)))
        self.label = encoded_block.column(blocks, encoded_block.LABEL)
        self.weight = encoded_block.column(blocks, encoded_block.WEIGHT)

    def ensemble(self) -> Ensemble:
        caps, every = self._caps(), math.ceil(len(self.label) / SELECTION_ROWS)
        weights = select([scores[::every] for scores in self.scores], self._worth(every), caps)
        single, value = (self._value(some) for some in ({0: 1.0}, weights))
        pairs, why = [frozenset({0, one}) for one in range(1, len(self.candidates))], ""
        if len(weights) == 1 and not pairs:
            why = "one trial finished"
        elif len(weights) == 1 and not any(map(caps.allow, pairs)):
            why = f"no second model fits within {listed(caps.forbidding(pairs))}"
        elif len(weights) == 1 or self.metric.sign * value <= self.metric.sign * single:
            why = "no mean of trials is better than the best trial"
        return Ensemble(
            metric=self.metric.name,
            candidates=len(self.candidates),
            single=single,
            value=single if why else value,
            members=() if why else self._members(weights),
            why=why,
        )

    def _members(self, weights: dict[int, float]) -> tuple[EnsembleMember, ...]:
        members, so_far = list[EnsembleMember](), dict[int, float]()
        for place, weight in weights.items():
            candidate = self.candidates[place]
            so_far[place] = weight
            members.append(
                EnsembleMember(
                    trial=candidate.trial,
                    family=candidate.family,
                    weight=weight,
                    metric=self._value({place: 1.0}),
                    value=self._value(so_far),
                    latency_ms=self.leaderboard.latency_ms(candidate, self.rows),
                    size_mb=self.leaderboard.size_mb(candidate),
                )
            )
        return tuple(members)

    def _value(self, weights: dict[int, float]) -> float:
        """The metric of a weighted mean on all rows of validation."""
        total = sum(weights.values())
        mean = weighted_mean({place: weight / total for place, weight in weights.items()}, self.scores)
        return float(self.metric(self.label, mean, self.weight))

    def _worth(self, every: int) -> Worth:
        label, weight = self.label[::every], self.weight[::every]
        return lambda scores: self.metric.sign * float(self.metric(label, scores, weight))

    def _caps(self) -> Caps:
        asked = self.spec.ensemble
        assert asked != "off"
        costs = []
        limits = {"ensemble.latency_ms": asked.latency_ms, "search.latency_ms": self.spec.search.latency_ms}
        if given := [(limit, key) for key, limit in limits.items() if limit is not None]:
            most, key = min(given)
            latencies = [self.leaderboard.latency_ms(one, self.rows) for one in self.candidates]
            costs.append(Cap(key, np.array(latencies), most))
        if self.spec.search.time is not None and self.spec.fit.on != "train":
            costs.append(self._refits(self.refit_seconds))
        if asked.size_mb is not None:
            sizes = [self.leaderboard.size_mb(one) for one in self.candidates]
            costs.append(Cap("ensemble.size_mb", np.array(sizes), asked.size_mb))
        return Caps(members=asked.members, costs=tuple(costs))

    def _refits(self, most: float) -> Cap:
        """The seconds of the members' refits, at most so many.

        Refits side by side share the time, but none of them may take longer than it.
        """
        share = refit_share(self.layout, self.rows.rows, self.spec)
        seconds = np.array([share * trained_s(one) for one in self.candidates])
        costs = np.where(seconds > most, np.inf, seconds / refits_at_once(self.layout, self.rows.rows))
        return Cap("search.time", costs, most)


def scores_of(leaderboard: "Leaderboard", candidate: "TrialResult") -> Scores:
    """Read the scores that the model of a candidate gave validation; shape (rows,) or (rows, classes)."""
    scores: Scores = np.load(leaderboard.model_folder(candidate) / SCORES_FILE, allow_pickle=False)
    return scores


def weighted_mean(weights: dict[int, float], scores: list[Scores]) -> Vector:
    """Return the mean of some of the scores, by the weight of each place."""
    mean = np.zeros(scores[0].shape, np.float64)
    for place, weight in weights.items():
        mean += weight * scores[place].astype(np.float64)
    return mean


def ensemble_scores(leaderboard: "Leaderboard") -> Vector:
    """Return the ensemble's scores of validation, from those of its trials, which were not trained on it."""
    by_trial = {one.trial: one for one in leaderboard.results}
    scores = [scores_of(leaderboard, by_trial[member.trial]) for member in leaderboard.members]
    return weighted_mean({place: member.weight for place, member in enumerate(leaderboard.members)}, scores)
