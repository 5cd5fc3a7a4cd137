"""Linearised intervals of many groups: each as if its rows were alone, whatever the chunks, the order of rows and the
clusters."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from part_fixture import binary, regression

from ray_pipeline.components.metrics import metrics_without_parameters
from ray_pipeline.evaluation import ordered_rows, pieces
from ray_pipeline.evaluation.linearized_variance import linearized_bounds

BINARY = [metric for metric in metrics_without_parameters() if metric.fits("binary") and not metric.of_regions]
REGRESSION = [metric for metric in metrics_without_parameters() if metric.fits("regression") and not metric.of_regions]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    terms_at_once=st.sampled_from([1, 50, 10_000]),
    at_once=st.sampled_from([11, 50, 10_000]),
    clusters=st.sampled_from([None, 3, 40]),
    regress=st.booleans(),
)
def test_groups_are_measured_as_if_alone(
    seed: int, terms_at_once: int, at_once: int, clusters: int | None, regress: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows, metrics = (regression(seed, 120), REGRESSION) if regress else (binary(seed, 120, clusters=clusters), BINARY)
    group = np.concatenate([np.arange(5), rng.integers(-1, 5, 115)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered_rows, "ROWS_PER_CHUNK", terms_at_once)
        patch.setattr(pieces, "ROWS_AT_ONCE", at_once)
        found = linearized_bounds(metrics, replace(rows, threshold=0.4), group, 0.95)
    for number in range(5):
        some = rows.take(group == number)
        alone = linearized_bounds(metrics, replace(some, threshold=0.4), np.zeros(len(some), np.intp), 0.95)
        for metric in metrics:
            ours, theirs = (
                (bounds.value[i], bounds.low[i], bounds.high[i])
                for bounds, i in ((found[metric.name], number), (alone[metric.name], 0))
            )
            # gradients are central differences, exact to about 1e-8 of the sums
            assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-8, nan_ok=True), metric.name
            assert ours[0] == pytest.approx(
                metric(some.label, some.score, some.weight, 0.4), rel=1e-9, abs=1e-12, nan_ok=True
            ), metric.name


@pytest.mark.parametrize("metric", BINARY, ids=lambda metric: metric.name)
def test_a_value_s_error_is_that_of_its_influences(metric: object) -> None:
    rows = binary(5, 800, clusters=90)
    found = linearized_bounds([metric], replace(rows, threshold=0.4), np.zeros(800, np.intp), 0.95)[metric.name]  # type: ignore[attr-defined, list-item]
    moved = np.bincount(rows.cluster.astype(int), metric.influence(rows.label, rows.score, rows.weight, 0.4), 90)  # type: ignore[attr-defined]
    assert found.error[0] == pytest.approx(np.sqrt(moved @ moved), rel=0.05)
    order = np.random.default_rng(0).permutation(800)
    mixed = linearized_bounds([metric], replace(rows.take(order), threshold=0.4), np.zeros(800, np.intp), 0.95)[
        metric.name
    ]  # type: ignore[attr-defined, list-item]
    assert (mixed.low[0], mixed.high[0]) == pytest.approx((found.low[0], found.high[0]), rel=1e-6)


def test_many_classes_are_measured_by_group() -> None:
    rng = np.random.default_rng(0)
    score = rng.dirichlet(np.ones(3), 300)
    label = rng.integers(0, 3, 300).astype(float)
    rows = replace(binary(n=300), task="multiclass", classes=("a", "b", "c"), label=label, score=score)
    metrics = [metric for metric in metrics_without_parameters() if metric.fits("multiclass") and not metric.of_regions]
    found = linearized_bounds(metrics, rows, np.arange(300) % 2, 0.95)
    for metric in metrics:
        assert found[metric.name].value[1] == pytest.approx(
            metric(rows.label[1::2], score[1::2], np.ones(150)), rel=1e-9
        )
        assert (found[metric.name].low < found[metric.name].high).all()
