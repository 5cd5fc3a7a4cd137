"""Rows in pieces: whatever the size of a piece, values, draws and clusters are those of all rows at once."""

import tracemalloc
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from part_fixture import binary, regression, spec_of

from ray_pipeline.components.metrics import metric_of, metrics_without_parameters
from ray_pipeline.components.metrics._base import SumMetric
from ray_pipeline.components.metrics._rank import RankMetric
from ray_pipeline.evaluation import pieces, weak_slices
from ray_pipeline.evaluation.bootstrap import Bootstrap, replicate
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.groups import groups_of, measure_groups
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.evaluation.pieces import Pieces, num_clusters, whole_groups
from ray_pipeline.evaluation.predict import ColumnBuilder, prediction_tables
from ray_pipeline.values import Predictions

RANK_METRICS = [
    one
    for one in metrics_without_parameters()
    if isinstance(one, RankMetric) and (one.fits("binary") or one.fits("regression"))
]


def _classes(rows: int) -> Predictions:
    rng = np.random.default_rng(4)
    score, label = rng.dirichlet(np.ones(3), rows), rng.integers(0, 3, rows).astype(float)
    return replace(binary(n=rows, clusters=70), task="multiclass", classes=("a", "b", "c"), label=label, score=score)


PARTS = {
    "binary": replace(binary(n=600, clusters=70), threshold=0.4),
    "rows": replace(binary(n=600), threshold=0.4, weight=np.random.default_rng(1).random(600)),
    "regression": regression(n=600),
    "multiclass": _classes(600),
}


@pytest.mark.parametrize("at_once", [37, 250])
@pytest.mark.parametrize("name", PARTS)
def test_values_and_draws_do_not_depend_on_the_pieces(name: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = PARTS[name]
    metrics = [one for one in metrics_without_parameters() if one.fits(rows.task) and not one.of_regions]
    whole, clusters = replicate(metrics, rows, draws=30, seed=3), num_clusters(rows)
    monkeypatch.setattr(pieces, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(pieces, "MAX_RANKED", at_once)  # the places are still all different values
    in_pieces = replicate(metrics, rows, draws=30, seed=3)
    for metric in metrics:
        expected = metric(rows.label, rows.score, rows.weight, rows.cut)
        assert Pieces(rows).value(metric) == pytest.approx(expected, rel=1e-9, nan_ok=True), metric.name
        assert in_pieces[metric.name] == pytest.approx(whole[metric.name], rel=1e-9, nan_ok=True), metric.name
    assert num_clusters(rows) == clusters


@pytest.mark.parametrize("at_once", [37, 250])
def test_groups_do_not_depend_on_the_pieces(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    names = np.array(["a", "b", "c", "null"], object)[rng.choice(4, 600, p=[0.7, 0.2, 0.08, 0.02])]
    rows = replace(PARTS["binary"], columns={"one": names, "two": names[::-1].copy()})
    metrics = [metric_of(name) for name in ("auc", "accuracy", "selection_rate", "log_loss")]
    settings = Bootstrap(draws=20, seed=0, confidence=0.95)
    whole, groups = measure_groups(metrics, rows, ["one"], settings, min_rows=20), groups_of(rows, ["one", "two"])
    monkeypatch.setattr(pieces, "ROWS_AT_ONCE", at_once)
    again = groups_of(rows, ["one", "two"])
    assert again.names == groups.names
    assert np.array_equal(again.of, groups.of)
    assert np.array_equal(again.sizes, groups.sizes)
    for one, other in zip(measure_groups(metrics, rows, ["one"], settings, min_rows=20), whole, strict=True):
        assert (one.names, one.clusters) == (other.names, other.clusters)
        assert one.values == pytest.approx(other.values, rel=1e-9)
        assert one.draws == pytest.approx(other.draws, rel=1e-9)
        assert one.floor == pytest.approx(other.floor, rel=1e-5)


@pytest.mark.parametrize("metric", RANK_METRICS, ids=lambda one: one.name)
def test_neighbours_that_share_a_place_move_a_value_by_little(
    metric: RankMetric, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = binary(n=40_000) if metric.fits("binary") else regression(n=40_000)
    exact = metric(rows.label, rows.score, rows.weight)
    monkeypatch.setattr(pieces, "ROWS_AT_ONCE", 9_000)
    monkeypatch.setattr(pieces, "MAX_RANKED", 10_000)
    monkeypatch.setattr(pieces, "MAX_PLACES", 4_000)
    (histogram,) = Pieces(rows).histograms(metric)
    assert len(histogram.low) <= 4_400
    assert Pieces(rows).value(metric) == pytest.approx(exact, rel=2e-3)


def test_few_different_scores_are_never_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = binary(n=40_000)
    rows = replace(rows, score=(4 * rows.score).round() / 4)
    metric = metric_of("auc")
    exact = metric(rows.label, rows.score, rows.weight)
    for name, number in (("ROWS_AT_ONCE", 9_000), ("MAX_RANKED", 10_000), ("MAX_PLACES", 4_000)):
        monkeypatch.setattr(pieces, name, number)
    assert Pieces(rows).value(metric) == pytest.approx(exact, rel=1e-12)


def _peak(rows: Predictions) -> int:
    tracemalloc.start()
    try:
        evaluate(rows, spec_of(evaluate={"metrics": ["auc", "log_loss"], "slices": ["one"], "draws": 100}))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_beyond_the_rows_hardly_grows_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("ROWS_AT_ONCE", 20_000), ("MAX_RANKED", 20_000), ("MAX_PLACES", 4_096)):
        monkeypatch.setattr(pieces, name, number)
    monkeypatch.setattr(weak_slices, "MAX_ROWS", 10_000)
    names = np.array(["a", "b", "c"], object)
    few, many = (
        replace(binary(n=rows), columns={"one": names[np.random.default_rng(9).choice(3, rows, p=[0.97, 0.02, 0.01])]})
        for rows in (40_000, 200_000)
    )
    _peak(few)  # imports
    grown = (_peak(many) - _peak(few)) / 160_000
    assert grown < 12  # bytes a row: two numbers of its group


def test_columns_are_filled_block_by_block_in_a_type_that_holds_them_all() -> None:
    blocks = [
        {"key": np.array([1, 2]), "score": np.ones((2, 3)), "name": np.array(["a", "b"], object)},
        {"key": np.array([0.5]), "score": np.zeros((1, 3)), "name": np.array(["b"], object)},
        {"key": np.array(["x"], object), "score": np.ones((1, 3)), "name": np.array(["a"], object)},
    ]
    filled = ColumnBuilder(4)
    for block in blocks:
        filled.append(block)
    for name, column in filled.columns.items():
        assert column.tolist() == [value for block in blocks for value in block[name].tolist()]
    assert filled.columns["name"][1] is filled.columns["name"][2]


def test_rows_of_two_kinds_in_turn_are_measured_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = regression(n=40_000)
    wide = np.arange(40_000) % 2 == 1
    rows = replace(rows, label=np.where(wide, rows.score + 1_000 * (rows.label - rows.score), rows.label))
    for name, number in (("ROWS_AT_ONCE", 9_000), ("MAX_RANKED", 10_000), ("MAX_PLACES", 20_000)):
        monkeypatch.setattr(pieces, name, number)
    for word in ("median_absolute_error", "absolute_error_p90", "absolute_error_p99"):
        metric = metric_of(word)
        assert Pieces(rows).value(metric) == pytest.approx(metric(rows.label, rows.score, rows.weight), rel=0.01), word


def test_rare_classes_are_measured_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 40, 40_000).astype(float)
    score = rng.random((40_000, 40)) + 3 * (label[:, None] == np.arange(40)) * rng.random((40_000, 1))
    rows = replace(binary(n=40_000), task="multiclass", classes=tuple(map(str, range(40))), label=label)
    rows = replace(rows, score=score / score.sum(1, keepdims=True))
    for name, number in (("ROWS_AT_ONCE", 9_000), ("MAX_RANKED", 10_000), ("MAX_PLACES", 40_000)):
        monkeypatch.setattr(pieces, name, number)
    for word in ("auc", "average_precision"):
        metric = metric_of(word)
        assert Pieces(rows).value(metric) == pytest.approx(metric(rows.label, rows.score, rows.weight), rel=0.01), word


@pytest.mark.parametrize("sizes", [[195, 3, 2], [2, 195, 3], [1, 1, 198], [200], [50, 50, 50, 50]])
def test_a_large_group_is_alone(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "ROWS_AT_ONCE", 60)
    group = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    found = list(whole_groups(binary(n=len(group)), group))
    assert [number for _, low, high in found for number in range(low, high)] == list(range(len(sizes)))
    assert [some.size for some, _, _ in found] == [sum(sizes[low:high]) for _, low, high in found]
    assert all(high - low == 1 or some.size <= 2 * 60 for some, low, high in found)


class Doubled(SumMetric):
    """A metric of one's own whose terms are its scores, as they are, or whole numbers."""

    tasks = ("binary",)
    better = "higher"
    whole: bool = False

    def terms(self, label: Any, score: Any, threshold: float = 0.5) -> Any:
        return (score[:, None] > 0.5).astype(np.int64) if self.whole else score[:, None]

    def value(self, sums: Any) -> Any:
        return sums[..., 0]


@pytest.mark.parametrize("whole", [False, True])
def test_terms_of_ones_own_are_not_changed(whole: bool) -> None:
    rows = replace(PARTS["binary"], weight=np.full(600, 0.5))
    own, loss = Doubled(whole=whole), metric_of("log_loss")
    group = np.zeros(600, np.int32)
    beside = linearized_bounds([own, loss], rows, group, 0.95)["log_loss"].value
    assert beside == pytest.approx(linearized_bounds([loss], rows, group, 0.95)["log_loss"].value)
    assert np.isfinite(replicate([own], rows, draws=10, seed=0)[own.name]).all()


@pytest.mark.parametrize(
    "keys",
    [
        [Decimal("9.5"), Decimal("12345.25")],
        [None, "a"],
        [1, 2.5],
        ["a", "b"],
    ],
    ids=["decimals", "null first", "numbers", "texts"],
)
def test_predictions_are_one_table_whatever_the_first_keys_are(keys: list[Any], monkeypatch) -> None:
    monkeypatch.setattr(pieces, "ROWS_AT_ONCE", 1)
    rows = replace(binary(n=2), key=np.array(keys, object))
    table = pa.concat_tables(prediction_tables(rows))
    assert table["key"].to_pylist() == keys


def test_draws_of_rows_without_weight_are_those_without_these_rows() -> None:
    rows = regression(n=600)
    weight = (np.random.default_rng(2).random(600) < 0.3).astype(float)
    metric = metric_of("absolute_error_p90")
    found, expected = (
        replicate([metric], one, draws=50, seed=1)[metric.name]
        for one in (replace(rows, weight=weight), rows.take(weight > 0))
    )
    assert found == pytest.approx(expected, rel=1e-9)
