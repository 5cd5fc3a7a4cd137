"""Every trial of a search, the best of each family, and what they had to beat."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.models._base import Model, Scorer
from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.evaluation.baselines import Baseline
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.sampler import TrialResult
from ray_pipeline.values import Predictions


@dataclass(frozen=True, kw_only=True)
class FamilyRank:
    """A family's place: its best trial on validation, what it cost, and how far it is behind the winner."""

    family: str
    trial: int
    metric: str
    value: float
    low: float
    high: float
    behind: float
    """By how much it is worse than the winner, drawn in pairs."""
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


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Every trial, and the one whose model is refitted."""

    results: tuple[TrialResult, ...]
    """In the order of their numbers."""
    best: TrialResult
    finalists: tuple[TrialResult, ...]
    """The best trial of each family, best first."""
    models: Path
    """Where the finalists' own models lie, trained on train only, each in a folder by its trial's number."""
    baselines: tuple[Baseline, ...] = ()
    families: tuple[FamilyRank, ...] = ()
    """Empty where one family had the search to itself."""

    @property
    def family(self) -> type[Model]:
        """The winner's family."""
        return find("models", self.best.family)  # type: ignore[no-any-return]

    def scorer(self, finalist: TrialResult | None = None) -> Scorer:
        """What a finalist's saved model scores with; the winner's unless another is given."""
        finalist = finalist or self.best
        return find("models", finalist.family).load(self.model_folder(finalist))  # type: ignore[no-any-return]

    def model_folder(self, finalist: TrialResult) -> Path:
        """The folder of a finalist's model."""
        return self.models / f"{finalist.trial:04d}"

    def check_reproduced(self, validation: Predictions, spec: Spec) -> None:
        """Raise if the winner's saved model does not repeat the score that the trial reported."""
        again = metric_of(spec.search.metric)(validation.label, validation.score, validation.weight)
        if self.best.metric is None or not np.isclose(again, self.best.metric, rtol=1e-7, atol=1e-9):
            found = f"trial {self.best.trial} reported {self.best.metric!r}, but its saved model scores {again!r}"
            fix = "report this: it is a bug of ray-pipeline"
            raise PipelineError(Problem(stage="search", found=found, fix=fix))
