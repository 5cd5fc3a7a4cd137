"""What the model is fitted on: backtests find whether a refit with validation helps, and the rule follows them."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ray_pipeline import encoded_block as packed
from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.tuning.backtests import Backtest, Sample, Trained, run_backtests
from ray_pipeline.tuning.fit_choice import MIN_ROWS, decide, plan, rounds_of_search
from ray_pipeline.tuning.leaderboard import Leaderboard
from ray_pipeline.tuning.sampler import TrialResult

PARAMS = {"max_depth": 4, "learning_rate": 0.1, "subsample": 0.9, "colsample_bytree": 0.8, "min_child_weight": 2.0}


def sample_of(
    matrix: Any,
    label: Any,
    validation: Any,
    *,
    key: Any = None,
    time: Any = None,
    cluster: Any = None,
    share: float = 1,
) -> Sample:
    """A sample of rows of two parts, in the form of encoded blocks."""
    rows = len(label)
    columns = {
        packed.LABEL: np.asarray(label, float),
        packed.WEIGHT: np.ones(rows),
        packed.PART: validation.astype(np.int8),
        packed.KEY: np.random.default_rng(0).permutation(rows) if key is None else key,
        packed.CLUSTER: np.arange(rows, dtype=np.uint64) if cluster is None else cluster,
    }
    if time is not None:
        columns[packed.TIME] = time
    order = np.argsort(validation, kind="stable")
    table = packed.pack({"trees": np.asarray(matrix, np.float32)}, {n: pa.array(v) for n, v in columns.items()})
    blocks = [list(packed.views([table.take(order)], "trees", part)) for part in ("train", "validation")]  # type: ignore[arg-type]
    return Sample.of(*blocks, share)


def gains(sample: Sample, *, rounds: int = 60, number: int = 1) -> list[Backtest]:
    width = sample.matrix.shape[1]
    context = TrainingContext(task="binary", num_classes=2, cardinalities={"trees": (0,) * width}, threads=1)
    params = {**dict(find("models", "xgboost")().space(context)), **PARAMS, "reg_lambda": 1.0}
    trained = Trained(family="xgboost", params=params, rounds=rounds, metric="auc", seed=3)
    return run_backtests(sample, trained, context, number)


def drifting(rows: int = 6_000) -> tuple[Any, Any, Any]:
    """Five years in order. The month is a column; in the last two years each month has a rate that never comes back."""
    rng = np.random.default_rng(1)
    month = np.sort(rng.integers(0, 60, rows))
    signal, shift = rng.normal(size=(rows, 3)), rng.normal(0, 2.0, 60)
    shift[:36] = 0
    logit = signal[:, 0] + 0.5 * signal[:, 1] * signal[:, 2] + shift[month]
    label = rng.random(rows) < 1 / (1 + np.exp(-logit))
    return np.column_stack([signal, month % 12]), label, month


def test_newer_months_that_mislead_speak_against_the_refit() -> None:
    matrix, label, month = drifting()
    sample = sample_of(matrix, label, month >= 48, time=month)
    (found,) = gains(sample)
    assert (found.order, found.gain < -2 * found.error) == ("time", True)
    choice = decide([found], by_time=True)
    assert (choice.on, choice.own_model) == (
        "train",
        True,
    ) and "1 backtest the refit changed the metric by -" in choice.why


def test_more_of_the_same_rows_speak_for_the_refit() -> None:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(500, 8))
    label = rng.random(500) < 1 / (1 + np.exp(-2 * matrix[:, :4].sum(axis=1)))
    (found,) = gains(sample_of(matrix, label, rng.random(500) < 0.2))
    assert found.order == "none" and found.gain > 0
    assert decide([found], by_time=False).on == "train+validation"


def test_rows_with_an_order_are_tested_as_often_as_asked_and_others_once() -> None:
    matrix, label, month = drifting(2_000)
    assert [one.order for one in gains(sample_of(matrix, label, month >= 48, time=month), number=3)] == ["time"] * 3
    held_out = np.random.default_rng(3).random(2_000) < 0.2
    assert [one.order for one in gains(sample_of(matrix, label, held_out), number=3)] == ["none"]


def test_the_same_rows_give_the_same_evidence() -> None:
    matrix, label, month = drifting(2_000)
    sample = sample_of(matrix, label, month >= 48, time=month)
    assert gains(sample, number=2) == gains(sample, number=2)


def test_each_backtest_goes_a_step_back_and_scores_only_later_rows() -> None:
    matrix, label, month = drifting(3_000)
    sample = sample_of(matrix, label, month >= 48, time=month)
    windows = list(sample.windows(3))
    for earlier, added, scored in windows:
        assert sample.place[earlier].max() < sample.place[added].min()
        assert sample.place[added].max() < sample.place[scored].min()
    assert sample.is_validation[windows[0][2]].all()
    assert all((after[2] == before[1]).all() for before, after in pairwise(windows))


@pytest.mark.parametrize(
    ("made", "order"),
    [
        ({"time": np.arange(300)}, "time"),
        ({"key": np.arange(300)}, "key"),
        ({"column": np.arange(300)}, "column"),
        ({"column": -np.arange(300)}, "column"),
        ({"time": np.arange(300)[::-1].copy()}, "none"),
        ({"key": np.arange(300).astype(str)}, "none"),
    ],
    ids=["time", "key", "rising column", "falling column", "train after validation", "text keys"],
)
def test_an_order_of_the_parts_is_found_where_there_is_one(made: dict[str, Any], order: str) -> None:
    matrix = np.random.default_rng(0).normal(size=(300, 2))
    if "column" in made:
        matrix[:, 1] = made.pop("column")
    late = np.arange(300) >= 240
    sample = sample_of(matrix, np.zeros(300), late, **made)
    assert sample.order == order
    if order != "none":
        assert (np.diff(sample.place) >= 0).all()


def test_rows_of_one_group_stay_together() -> None:
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 30, 600).astype(np.uint64)
    sample = sample_of(rng.normal(size=(600, 2)), np.zeros(600), cluster >= 24, cluster=cluster)
    ((earlier, added, _),) = sample.windows(1)
    assert not {*sample.cluster[earlier]} & {*sample.cluster[added]}


def test_a_rare_value_that_validation_lacks_is_no_order() -> None:
    late, rare = np.arange(600) % 5 == 0, np.zeros(600)
    rare[[1, 7]] = 1.0
    for column in (rare, -rare):
        matrix = np.column_stack([np.random.default_rng(0).normal(size=600), column])
        assert sample_of(matrix, np.zeros(600), late).order == "none"


def test_a_window_without_enough_rows_is_left_out() -> None:
    year = np.repeat([0, 1, 2], [5, 395, 200])
    sample = sample_of(np.column_stack([np.zeros(600), year]), np.zeros(600), year == 2)
    assert sample.order == "column" and len(next(sample.windows(1))[0]) == 5
    context = TrainingContext(task="regression", num_classes=0, cardinalities={"trees": (0, 0)}, threads=1)
    trained = Trained(family="xgboost", params={"max_bin": 8}, rounds=1, metric="rmse", seed=0)
    assert run_backtests(sample, trained, context, 1) == []


def test_a_share_of_the_rows_is_the_same_share_again() -> None:
    rng = np.random.default_rng(0)
    matrix, late = rng.normal(size=(4_000, 2)), np.arange(4_000) % 5 == 0
    sample, again = (sample_of(matrix, np.zeros(4_000), late, share=0.25) for _ in range(2))
    assert 900 < len(sample.label) < 1_100 and np.array_equal(sample.matrix, again.matrix)


def of(order: str, gain: float, error: float) -> Backtest:
    return Backtest(order=order, rows=300, added=100, scored=100, gain=gain, error=error)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backtests", "by_time", "on"),
    [
        ([of("none", -0.01, 0.006)], False, "train+validation"),
        ([of("none", -0.01, 0.004)], False, "train"),
        ([of("time", 0.01, 0.02)], True, "train"),
        ([of("key", 0.03, 0.02)], False, "train+validation"),
        ([of("time", 0.05, 0.01), of("time", -0.04, 0.01)], True, "train"),
        ([], False, "train+validation"),
        ([], True, "train"),
    ],
)
def test_the_default_depends_on_the_order_of_the_parts(backtests: list[Backtest], by_time: bool, on: str) -> None:
    choice = decide(backtests, by_time)
    assert choice.on == on and choice.own_model == (on == "train")
    assert choice.as_json()["on"] == on and len(choice.as_json()["backtests"]) == len(backtests)


def board(*rounds: int) -> Leaderboard:
    results = tuple(
        TrialResult(
            trial=trial,
            family="xgboost",
            params={},
            rungs=((done, 0.5),),
            metric=0.5,
            rounds=100,
            seconds=1.0,
            status="completed",
        )
        for trial, done in enumerate(rounds)
    )
    return Leaderboard(results=results, best=results[0], finalists=(results[0],), models=None)  # type: ignore[arg-type]


def test_backtests_cost_at_most_their_share_of_the_search() -> None:
    rows, validation = 8_000, 2_000
    costs = [8_000 * 100 + 6_400 * 80, 6_400 * 80 + 5_120 * 64, 5_120 * 64 + 4_096 * 51]
    for trials, number in ((40, 3), (16, 3), (6, 2), (4, 1), (3, 1)):
        found, affordable = plan(board(*[160] * trials), rows, validation), 0.15 * 160 * trials * rows
        assert found.number == number
        assert found.share == pytest.approx(min(1, affordable / sum(costs[:number])))
    assert plan(board(110), rows, validation).number == 0
    assert plan(board(*[160] * 3), rows, MIN_ROWS).number == 0


def test_trials_of_other_families_pay_by_what_their_rows_cost() -> None:
    alone = board(*[160] * 8)
    for family, worth in (("lightgbm", 7), ("ft_transformer", 7), ("linear", 0.7)):
        others = tuple(replace(one, family=family, rungs=()) if one.trial else one for one in alone.results)
        assert rounds_of_search(replace(alone, results=others)) == pytest.approx(160 * (1 + worth))
    nets = tuple(replace(one, family="mlp" if one.trial == 0 else "xgboost") for one in alone.results)
    assert rounds_of_search(replace(alone, results=nets, best=nets[0])) == pytest.approx(160 * 1.7)
