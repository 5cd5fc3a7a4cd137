"""The bootstrap: Poisson weights that are a pure function of cluster, draw and seed, and draws that agree with
weighting the rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from part_fixture import binary, regression

from ray_pipeline.components.metrics import metric_of, metrics_without_parameters
from ray_pipeline.evaluation.bootstrap import replicate, weights

BINARY = [metric for metric in metrics_without_parameters() if metric.fits("binary") and not metric.of_regions]


def test_weights_are_poisson_with_mean_and_variance_one() -> None:
    drawn = weights(np.arange(20_000, dtype=np.uint64), 100, seed=0)
    share = np.bincount(drawn.ravel(), minlength=9)[:6] / drawn.size
    assert share == pytest.approx([0.36788, 0.36788, 0.18394, 0.06131, 0.01533, 0.00307], abs=1e-3)
    assert (drawn.mean(), drawn.var()) == pytest.approx((1, 1), abs=3e-3)


def test_weights_of_clusters_and_of_draws_are_uncorrelated() -> None:
    drawn = weights(np.arange(400, dtype=np.uint64), 400, seed=0).astype(float)
    for matrix in (drawn, drawn.T):
        correlation = np.corrcoef(matrix)[np.triu_indices(400, 1)]
        assert abs(correlation.mean()) < 1e-3
        assert correlation.std() == pytest.approx(1 / 20, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(
    ids=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30),
    draws=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_weight_depends_on_cluster_draw_and_seed_alone(ids: list[int], draws: int, seed: int) -> None:
    cluster = np.array(ids, np.uint64)
    drawn = weights(cluster, draws, seed)
    assert drawn.shape == (len(ids), draws)
    assert np.array_equal(weights(cluster[::-1], draws, seed)[::-1], drawn)
    assert np.array_equal(weights(cluster, draws + 5, seed)[:, :draws], drawn)
    assert not np.array_equal(weights(cluster, 64, seed), weights(cluster, 64, seed + 1))


@pytest.mark.parametrize("clusters", [None, 5, 200], ids=["rows", "few", "many"])
@pytest.mark.parametrize("metric", BINARY, ids=lambda metric: metric.name)
def test_a_draw_is_the_metric_of_the_weighted_rows(metric: object, clusters: int | None) -> None:
    rows = binary(n=500, clusters=clusters)
    drawn = weights(rows.cluster, 20, seed=7)
    found = replicate([metric], replace(rows, threshold=0.4), draws=20, seed=7)[metric.name]  # type: ignore[attr-defined, list-item]
    expected = [metric(rows.label, rows.score, drawn[:, d].astype(float), 0.4) for d in range(20)]  # type: ignore[operator]
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("word", "num_rows", "error"),
    [
        ("auc", 60_000, 1e-5),
        ("average_precision", 60_000, 1e-4),
        ("auc", 5_000, 1e-4),
        ("average_precision", 5_000, 3e-4),
    ],
)
@pytest.mark.parametrize("clusters", [None, 60], ids=["rows", "days"])
def test_binned_draws_are_within_the_stated_error(word: str, num_rows: int, error: float, clusters: int | None) -> None:
    rows, metric = binary(n=num_rows, clusters=clusters), metric_of(word)
    drawn = weights(rows.cluster, 6, seed=0)
    expected = [metric(rows.label, rows.score, drawn[:, d].astype(float)) for d in range(6)]
    assert replicate([metric], rows, draws=6, seed=0)[word] == pytest.approx(expected, abs=error)


def test_draws_repeat_byte_for_byte_and_are_paired_between_models() -> None:
    rows, other = binary(n=3000), binary(n=3000, shift=0.9)
    metrics = [metric_of(word) for word in ("auc", "log_loss")]
    first, again = (replicate(metrics, rows, draws=200, seed=1) for _ in range(2))
    assert all(first[word].tobytes() == again[word].tobytes() for word in first)
    nearly = replace(rows, score=0.9 * rows.score + 0.1 * other.score)
    paired = replicate(metrics, nearly, draws=200, seed=1)
    assert np.std(first["auc"] - paired["auc"]) < np.std(first["auc"]) / 3


@pytest.mark.parametrize("word", ["auc", "log_loss", "accuracy"])
def test_the_order_of_rows_does_not_matter(word: str) -> None:
    rows, metric = binary(n=2000, clusters=50), metric_of(word)
    order = np.random.default_rng(0).permutation(2000)
    mixed = replicate([metric], replace(rows.take(order), threshold=0.4), draws=50, seed=0)[word]
    assert mixed == pytest.approx(replicate([metric], replace(rows, threshold=0.4), draws=50, seed=0)[word], rel=1e-12)


def test_a_draw_without_a_positive_is_undefined() -> None:
    rows = replace(binary(n=3), label=np.array([1.0, 0, 0]))
    found = replicate([metric_of("auc"), metric_of("recall")], rows, draws=100, seed=0)
    none = weights(rows.cluster, 100, 0)[0] == 0
    assert none.any()
    assert np.isnan(found["recall"][none]).all() and np.isnan(found["auc"][none]).all()
    assert np.isfinite(found["recall"][~none]).all()


@pytest.mark.parametrize("word", ["rmse", "mae", "r2", "mean_residual"])
def test_regression_is_drawn_too(word: str) -> None:
    rows, metric = regression(), metric_of(word)
    drawn = replicate([metric], rows, draws=300, seed=0)[word]
    assert drawn.mean() == pytest.approx(metric(rows.label, rows.score, rows.weight), abs=3 * drawn.std() / 17 + 0.02)
