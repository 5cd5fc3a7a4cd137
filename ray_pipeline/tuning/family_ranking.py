"""The leaderboard of the families: whether each one is behind the winner by more than noise, and what it costs."""

from typing import Any

from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation.bootstrap import Bootstrap, num_clusters, replicate
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.evaluation.latency import row_ms
from ray_pipeline.evaluation.predict import score_part
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.leaderboard import FamilyRank, Leaderboard


def rank_families(leaderboard: Leaderboard, rows: EncodedRows, spec: Spec) -> tuple[FamilyRank, ...]:
    """Rank the families that have a finished trial, best first; nothing where one family had the search to itself."""
    if len(spec.model) < 2:
        return ()
    metric, bootstrap = metric_of(spec.search.metric), Bootstrap.of(spec)
    sign = 1.0 if metric.better == "higher" else -1.0
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
        one_row = rows.part("validation", family.encoder, lambda table, first: table.slice(0, 0 if first else 1))
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
                beyond_noise=len(ranks) > 0 and behind.low > 0,
                trials=len(trials),
                seconds=round(sum(result.seconds for result in trials), 2),
                size_mb=(leaderboard.model_folder(finalist) / family.file).stat().st_size / 1e6,
                latency_ms=row_ms(scorer, one_row[0].matrix),
            )
        )
    return tuple(ranks)
