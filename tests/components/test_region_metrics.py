"""Metrics of intervals and sets: on all rows, in groups, in draws of the bootstrap, and where there are none."""

from dataclasses import replace

import numpy as np
import pytest
from part_fixture import binary, regression

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation.bootstrap import replicate
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.prediction_regions import Regions
from ray_pipeline.values import Predictions

NAMES = ["coverage", "interval_width"]


def rows() -> Predictions:
    """Residuals of N(0, 2) and intervals of +-2, so that 68 % are inside."""
    part = replace(regression(0, 4_000), weight=np.random.default_rng(1).uniform(0.5, 2, 4_000))
    return replace(part, regions=Regions(values=np.column_stack([part.score - 2, part.score + 2])))


def test_coverage_and_width_are_weighted_means_of_rows() -> None:
    part = rows()
    coverage, width = (metric_of(name)(part.label, part.measures, part.weight) for name in NAMES)
    inside = np.abs(part.label - part.score) <= 2
    assert coverage == pytest.approx(np.average(inside, weights=part.weight)) == pytest.approx(0.683, abs=0.03)
    assert width == pytest.approx(4)


def test_draws_and_groups_measure_the_same_rows() -> None:
    part, group = rows(), np.arange(4_000) % 2
    metrics = [metric_of(name) for name in (*NAMES, "rmse")]
    draws = replicate(metrics, part, draws=200, seed=1)
    assert draws["coverage"].mean() == pytest.approx(0.683, abs=0.03) and draws["coverage"].std() < 0.02
    bounds = linearized_bounds(metrics, part, group, 0.95)
    for side in (0, 1):
        half = part.take(group == side)
        value = metrics[0](half.label, half.measures, half.weight)
        assert bounds["coverage"].value[side] == pytest.approx(value)
        assert bounds["coverage"].low[side] < value < bounds["coverage"].high[side]
    assert bounds["rmse"].value == pytest.approx([2, 2], abs=0.1)


def test_the_size_of_sets_is_counted_in_classes() -> None:
    part = binary(n=100)
    both = replace(part, regions=Regions(values=np.ones((100, 2), bool)))
    assert metric_of("set_size")(part.label, both.measures, part.weight) == 2
    assert metric_of("coverage")(part.label, both.measures, part.weight) == 1


def test_without_intervals_they_are_undefined() -> None:
    part = regression(0, 50)
    assert all(np.isnan(metric_of(name)(part.label, part.measures, part.weight)) for name in NAMES)
