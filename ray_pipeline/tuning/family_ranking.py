"""The leaderboard of the families: each one's best trial on validation, what it cost, and whether it is behind the
winner by more than noise."""

from dataclasses import asdict, dataclass
from typing import Any

from ray_pipeline import encoded_block as blocks
from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation.bootstrap import num_clusters, replicate
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.evaluation.latency import row_ms
from ray_pipeline.evaluation.predict import predict
from ray_pipeline.preprocessing.encode import Encoded
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.search import Leaderboard


@dataclass(frozen=True)
class Rank:
    """A family's place: the score of its best trial with interval, and by how much it is worse than the winner's, drawn
    in pairs."""

    family: str
    trial: int
    metric: str
    value: float
    low: float
    high: float
    behind: float
    behind_low: float
    behind_high: float
    beyond_noise: bool
    """Whether the whole interval of `behind` is above 0."""
    trials: int
    seconds: float
    """Of training, over all its trials."""
    size_mb: float
    latency_ms: float
    """To score one encoded row: the median of 50 calls."""

    def as_json(self) -> dict[str, Any]:
        """One object of `families.json`."""
        return asdict(self)


def rank(leaderboard: Leaderboard, encoded: Encoded, spec: Spec, classes: tuple[str, ...]) -> tuple[Rank, ...]:
    """The families that have a finished trial, best first; nothing where one family had the search to itself."""
    if len(spec.model) < 2:
        return ()
    metric = metric_of(spec.search.metric)
    sign = 1.0 if metric.better == "higher" else -1.0
    ranks: list[Rank] = []
    first: tuple[float, Any] | None = None
    for finalist in leaderboard.finalists:
        family, scorer = find("models", finalist.family), leaderboard.scorer_of(finalist)
        rows = predict(scorer, encoded, family.encoder, "validation", spec, classes)
        value = metric(rows.label, rows.score, rows.weight)
        draws = replicate([metric], rows, None, draws=spec.evaluate.draws, seed=spec.seed)[metric.name]
        first = first or (value, draws)
        clusters = num_clusters(rows)
        own = percentile(value, draws, clusters, spec.evaluate.confidence)
        behind = percentile(sign * (first[0] - value), sign * (first[1] - draws), clusters, spec.evaluate.confidence)
        trials = [result for result in leaderboard.results if result.family == finalist.family]
        file = leaderboard.model_folder(finalist) / family.file
        one = next(blocks.views(encoded.fetch(), family.encoder, "validation")).matrix[:1]
        ranks.append(
            Rank(
                finalist.family,
                finalist.trial,
                metric.name,
                value,
                own.low,
                own.high,
                behind.value,
                behind.low,
                behind.high,
                len(ranks) > 0 and behind.low > 0,
                len(trials),
                round(sum(result.seconds for result in trials), 2),
                file.stat().st_size / 1e6,
                row_ms(scorer, one),
            )
        )
    return tuple(ranks)
