"""A saved model must repeat the metric of its trial: to the last digits on one kind of device, nearly across two."""

from dataclasses import replace
from pathlib import Path

import pytest
from encoded_fixture import SPEC
from part_fixture import regression

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.errors import PipelineError
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.sampler import TrialResult


@pytest.mark.parametrize(
    ("factor", "on_gpu", "repeats"),
    [(1.0, False, True), (1 + 1e-6, False, False), (1 + 1e-6, True, True), (1.01, True, False)],
)
def test_the_saved_model_repeats_the_metric_of_its_trial(factor: float, on_gpu: bool, repeats: bool) -> None:
    rows = regression(0, 200)
    spec = Spec.from_text(SPEC, file="toy.yaml", folder=Path())
    spec = spec.model_copy(update={"search": spec.search.model_copy(update={"metric": "rmse"})})
    found = factor * metric_of("rmse")(rows.label, rows.score, rows.weight)
    best = TrialResult(
        trial=0, family="xgboost", params={}, rungs=(), metric=found, rounds=1, seconds=1.0, status="completed"
    )
    board = Leaderboard(results=(best,), best=best, finalists=(best,), models=Path())
    if repeats:
        board.check_reproduced(rows, spec, on_gpu=on_gpu)
        return
    with pytest.raises(PipelineError, match="trial 0 reported"):
        board.check_reproduced(rows, spec, on_gpu=on_gpu)
    with pytest.raises(PipelineError):
        replace(board, best=replace(best, metric=None)).check_reproduced(rows, spec, on_gpu=on_gpu)
