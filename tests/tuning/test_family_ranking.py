"""Families are compared on the same validation rows, in pairs: what is behind by more than noise is marked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from encoded_fixture import SPEC, encoded

from ray_pipeline import encoded_block
from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.components.space import Space
from ray_pipeline.evaluation.bootstrap import Bootstrap, replicate
from ray_pipeline.evaluation.intervals import percentile
from ray_pipeline.evaluation.pieces import num_clusters
from ray_pipeline.evaluation.predict import score_part
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.spec import Spec
from ray_pipeline.tuning.leaderboard import FamilyRank, Leaderboard, rank_families
from ray_pipeline.tuning.sampler import TrialResult

pytestmark = pytest.mark.ray
ROUNDS = {"xgboost": 60, "linear": 50}
SECONDS = {"xgboost": (1.25, 0.5), "linear": (0.25,)}


def spec_of(metric: str = "auc", model: str = "[xgboost, linear]") -> Spec:
    sets = [f"model={model}", f"search.metric={metric}", "evaluate.draws=200"]
    return Spec.from_text(SPEC, sets, file="toy.yaml", folder=Path())


def train(family: str, rows: EncodedRows, folder: Path) -> None:
    """Fits a family's default on train, in this process."""
    model = find("models", family)
    cardinalities = {name: encoder.cardinalities for name, encoder in rows.encoders.items()}
    context = TrainingContext(task="binary", num_classes=2, cardinalities=cardinalities, threads=1, rows=1_800)
    space = model().space(context)
    params = {name: model.start[name] if isinstance(value, Space) else value for name, value in space.items()}
    data = model.prepare_data(
        params, context, rows.part("train", model.encoder), rows.part("validation", model.encoder)
    )
    training = model.start_training(params, context, data, 0)
    training.advance(ROUNDS[family])
    folder.mkdir(parents=True)
    (folder / model.file).write_bytes(training.model(ROUNDS[family]))


def result(trial: int, family: str, seconds: float) -> TrialResult:
    return TrialResult(
        trial=trial, family=family, params={}, rungs=(), metric=0.8, rounds=10, seconds=seconds, status="completed"
    )


@pytest.fixture(scope="module")
def rows(ray_local: None) -> EncodedRows:
    return encoded(3_000, 2, 0, "trees", "nets")


@pytest.fixture(scope="module")
def board(rows: EncodedRows, tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    """Trees before the linear model: the label is decided by a square."""
    models = tmp_path_factory.mktemp("models")
    trees, linear, third = result(0, "xgboost", 1.25), result(1, "linear", 0.25), result(2, "xgboost", 0.5)
    for finalist in (trees, linear):
        train(finalist.family, rows, models / f"{finalist.trial:04d}")
    return Leaderboard(results=(trees, linear, third), best=trees, finalists=(trees, linear), models=models)


@pytest.fixture(scope="module")
def ranks(board: Leaderboard, rows: EncodedRows) -> tuple[FamilyRank, ...]:
    return rank_families(board, rows, spec_of())


def test_a_family_that_has_the_search_to_itself_is_not_ranked(board: Leaderboard, rows: EncodedRows) -> None:
    assert rank_families(board, rows, spec_of(model="xgboost")) == ()


def test_each_family_has_the_score_and_interval_of_its_saved_model(
    ranks: tuple[FamilyRank, ...], board: Leaderboard, rows: EncodedRows
) -> None:
    metric, bootstrap = find("metrics", "auc")(), Bootstrap.of(spec_of())
    assert [rank.family for rank in ranks] == ["xgboost", "linear"]
    for rank, finalist in zip(ranks, board.finalists, strict=True):
        blocks = rows.part("validation", find("models", rank.family).encoder)
        score = np.concatenate([board.scorer(finalist)(block.matrix) for block in blocks]).astype(np.float64)
        label, weight = (encoded_block.column(blocks, name) for name in ("label", "weight"))
        assert rank.value == metric(label, score, weight)
        predictions = score_part(board.scorer(finalist), rows, find("models", rank.family).encoder, "validation")
        draws = replicate([metric], predictions, draws=bootstrap.draws, seed=bootstrap.seed)["auc"]
        own = percentile(rank.value, draws, num_clusters(predictions), bootstrap.confidence)
        assert (rank.low, rank.high) == (own.low, own.high) and rank.low < rank.value < rank.high


def test_the_winner_is_not_behind_and_the_loser_is_by_the_difference_of_their_scores(
    ranks: tuple[FamilyRank, ...],
) -> None:
    first, second = ranks
    assert (first.behind, first.behind_low, first.behind_high, first.beyond_noise) == (0, 0, 0, False)
    assert second.behind == pytest.approx(first.value - second.value, abs=1e-12) and second.behind > 0.03
    assert second.behind_low <= second.behind <= second.behind_high
    assert second.beyond_noise and second.behind_low > 0
    # Drawn in pairs: both have the same rows in each draw, so much of the noise cancels.
    assert second.behind_high - second.behind_low < (second.high - second.low) + (first.high - first.low)


def test_two_families_with_one_model_are_within_noise(board: Leaderboard, rows: EncodedRows) -> None:
    twin = replace(board.best, trial=0, family="xgboost")
    first, second = rank_families(replace(board, finalists=(board.best, twin)), rows, spec_of())
    assert (second.behind, second.behind_low, second.behind_high, second.beyond_noise) == (0, 0, 0, False)
    assert first.value == second.value


def test_where_lower_is_better_the_loser_is_still_behind(board: Leaderboard, rows: EncodedRows) -> None:
    first, second = rank_families(board, rows, spec_of("log_loss"))
    assert first.value < second.value
    assert second.behind == pytest.approx(second.value - first.value, abs=1e-12)
    assert second.behind_low <= second.behind <= second.behind_high


def test_costs_are_those_of_all_trials_and_of_the_models_file(
    ranks: tuple[FamilyRank, ...], board: Leaderboard
) -> None:
    for rank, finalist in zip(ranks, board.finalists, strict=True):
        (file,) = board.model_folder(finalist).iterdir()
        assert rank.size_mb == file.stat().st_size / 1e6 and 0 < rank.latency_ms < 1_000
        assert rank.seconds == sum(SECONDS[rank.family]) and rank.trials == len(SECONDS[rank.family])
