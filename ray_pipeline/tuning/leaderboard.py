"""The leaderboard: every trial of a search, the best of each family, and the baselines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Model, Scorer
from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.evaluation.baselines import Baseline
from ray_pipeline.evaluation.bootstrap import Bootstrap, replicate
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.evaluation.latency import row_ms
from ray_pipeline.evaluation.pieces import num_clusters
from ray_pipeline.evaluation.predict import score_part
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.ensemble_selection import Ensemble, EnsembleMember
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.values import Predictions

SAME_DEVICE, ACROSS_DEVICES = 1e-7, 1e-3
"""By how much, in proportion, a saved model's metric may differ from its trial's. Rows near a threshold may change
sides from one device to another."""


@dataclass(frozen=True, kw_only=True)
class FamilyRank:
    """The rank of a family: its best trial on validation, its costs, and how far it is behind the winner."""

    family: str
    trial: int
    metric: str
    value: float
    low: float
    high: float
    behind: float
    """By how much it is worse than the winner, from paired draws of the bootstrap."""
    behind_low: float
    behind_high: float
    behind_error: float
    """The standard error of `behind`."""
    beyond_noise: bool
    """Whether the whole interval of `behind` is above 0."""
    trials: int
    seconds: float
    """Seconds of training, over all its trials."""
    size_mb: float
    latency_ms: float
    """Milliseconds to score one encoded row: the median of 50 calls."""
    chosen: bool = False
    """Whether its best trial is the winner: see `choose_family`."""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Every trial, and the one whose model is refitted."""

    results: tuple[TrialResult, ...]
    """Ordered by their numbers."""
    best: TrialResult
    finalists: tuple[TrialResult, ...]
    """The best trial of each family, best first."""
    models: Path
    """The folder of the finalists' models, trained on train only: one folder for each trial's number."""
    candidates: tuple[TrialResult, ...] = ()
    """The trials that an ensemble may have, best first; their models and scores are kept, too."""
    ensemble: Ensemble | None = None
    """None where the spec asks for no ensemble."""
    baselines: tuple[Baseline, ...] = ()
    families: tuple[FamilyRank, ...] = ()
    """Empty where the search has one family."""

    @property
    def members(self) -> tuple[EnsembleMember, ...]:
        """The members of the ensemble that is used; none where the best trial alone is registered."""
        return self.ensemble.members if self.ensemble else ()

    @property
    def family(self) -> type[Model]:
        """The winner's family."""
        return find("models", self.best.family)  # type: ignore[no-any-return]

    def scorer(self, finalist: TrialResult | None = None) -> Scorer:
        """Load the saved model of a finalist; of the winner unless one is given."""
        finalist = finalist or self.best
        return find("models", finalist.family).load(self.model_folder(finalist))  # type: ignore[no-any-return]

    def model_folder(self, finalist: TrialResult) -> Path:
        """Return the folder of a finalist's model."""
        return self.models / f"{finalist.trial:04d}"

    def latency_ms(self, finalist: TrialResult, rows: EncodedRows) -> float:
        """Measure how long the saved model of a finalist takes for one encoded row."""
        encoder = find("models", finalist.family).encoder
        one_row = rows.part("validation", encoder, lambda table, first: table.slice(0, 0 if first else 1))
        return row_ms(self.scorer(finalist), one_row[0].matrix)

    def size_mb(self, finalist: TrialResult) -> float:
        """Return the size of the saved model of a finalist."""
        size: int = (self.model_folder(finalist) / find("models", finalist.family).file).stat().st_size
        return size / 1e6

    def check_reproduced(self, validation: Predictions, spec: Spec, *, on_gpu: bool) -> None:
        """Check that the winner's saved model repeats the metric that its trial reported.

        Parameters
        ----------
        validation
            Scores of the saved model, which come from a CPU.
        spec
            Names the metric.
        on_gpu
            Whether the trial's came from a GPU, which adds in another order.

        Raises
        ------
        PipelineError
            It does not.
        """
        again = metric_of(spec.search.metric)(validation.label, validation.score, validation.weight)
        near = ACROSS_DEVICES if on_gpu else SAME_DEVICE
        if self.best.metric is None or not np.isclose(again, self.best.metric, rtol=near, atol=near / 100):
            found = f"trial {self.best.trial} reported {self.best.metric!r}, but its saved model scores {again!r}"
            fix = "report this: it is a bug of ray-pipeline"
            raise PipelineError(Problem(stage="search", found=found, fix=fix))


def choose_family(leaderboard: Leaderboard, ranks: Sequence[FamilyRank]) -> Leaderboard:
    """Return the leaderboard whose winner is of the cheapest family within noise, with the ranks.

    Within noise is a family that is behind the best one by at most one standard error of the paired difference on
    validation (the rule of Breiman et al., 1984). Of these the one wins whose rows cost least to score, as the families
    declare it (`Model.row_cost`): a measured latency would not repeat on a rerun. The better one of equals wins.
    """
    if not ranks:
        return leaderboard
    within_noise = [place for place, rank in enumerate(ranks) if rank.behind <= rank.behind_error]
    chosen = min(within_noise, key=lambda place: (find("models", ranks[place].family).row_cost, place))
    families = tuple(replace(rank, chosen=place == chosen) for place, rank in enumerate(ranks))
    return replace(leaderboard, best=leaderboard.finalists[chosen], families=families)


def rank_families(leaderboard: Leaderboard, rows: EncodedRows, spec: Spec) -> tuple[FamilyRank, ...]:
    """Rank the families that have a finished trial, best first; none where the search has one family."""
    if len(spec.model) < 2:
        return ()
    metric, bootstrap = metric_of(spec.search.metric), Bootstrap.of(spec)
    sign = metric.sign
    ranks: list[FamilyRank] = []
    winner: tuple[float, Any] | None = None
    for finalist in leaderboard.finalists:
        family, scorer = find("models", finalist.family), leaderboard.scorer(finalist)
        validation = score_part(scorer, rows, family.encoder, "validation")
        value = metric(validation.label, validation.score, validation.weight)
        draws = replicate([metric], validation, draws=bootstrap.draws, seed=bootstrap.seed)[metric.name]
        winner = winner or (value, draws)
        clusters = num_clusters(validation)
        own = percentile(value, draws, clusters, bootstrap.confidence)
        behind = percentile(sign * (winner[0] - value), sign * (winner[1] - draws), clusters, bootstrap.confidence)
        trials = [result for result in leaderboard.results if result.family == finalist.family]
        ranks.append(
            FamilyRank(
                family=finalist.family,
                trial=finalist.trial,
                metric=metric.name,
                value=value,
                low=own.low,
                high=own.high,
                behind=behind.value,
                behind_low=behind.low,
                behind_high=behind.high,
                behind_error=float(np.nanstd(winner[1] - draws)),
                beyond_noise=len(ranks) > 0 and behind.low > 0,
                trials=len(trials),
                seconds=round(sum(result.seconds for result in trials), 2),
                size_mb=leaderboard.size_mb(finalist),
                latency_ms=leaderboard.latency_ms(finalist, rows),
            )
        )
    return tuple(ranks)
