"""Split conformal prediction: the exact quantile, weights, coverage on simulated rows, crossed quantiles, sets."""

import math
from fractions import Fraction

import numpy as np
import pytest

from ray_pipeline.conformal import Calibration, conformal_quantile, require_rows
from ray_pipeline.errors import DataError
from ray_pipeline.prediction_regions import Regions, class_scores


@pytest.mark.parametrize("coverage", ["0.5", "0.55", "0.7", "0.8", "0.9", "0.95", "0.99"])
def test_the_quantile_is_the_score_of_rank_ceil_of_n_plus_1_times_the_coverage(coverage: str) -> None:
    for rows in range(1, 300):
        rank = math.ceil((rows + 1) * Fraction(coverage))
        scores = np.random.default_rng(rows).permutation(rows) + 1.0
        if rank <= rows:
            assert conformal_quantile(scores, np.ones(rows), float(coverage)) == rank
        else:
            with pytest.raises(DataError, match=f"{rows} validation rows are too few for a coverage of {coverage}"):
                conformal_quantile(scores, np.ones(rows), float(coverage))


def test_the_smallest_number_of_rows_that_the_error_names_suffices() -> None:
    with pytest.raises(DataError, match="at least 19 rows"):
        conformal_quantile(np.arange(18.0), np.ones(18), 0.95)
    assert conformal_quantile(np.arange(19.0), np.ones(19), 0.95) == 18
    require_rows(19, 0.95)
    with pytest.raises(DataError, match="18 validation rows are too few"):
        require_rows(18, 0.95)
    with pytest.raises(DataError, match="0 validation rows"):
        conformal_quantile(np.empty(0), np.empty(0), 0.9)


def test_a_weight_counts_as_that_many_rows_and_its_unit_does_not_matter() -> None:
    scores, weight = np.array([3.0, 1.0, 2.0, 4.0, 5.0]), np.array([2.0, 2.0, 2.0, 2.0, 2.0])
    assert conformal_quantile(scores, weight, 0.6) == conformal_quantile(scores, np.ones(5), 0.6) == 4
    heavy = np.array([1.0, 1.0, 1.0, 6.0, 1.0])
    assert conformal_quantile(scores, heavy, 0.4) == 4  # 0.4 x (10 + 6) = 6.4 of 1, 2, 3, 9, 10
    without = conformal_quantile(np.append(scores, 0.5), np.append(heavy, 0.0), 0.4)
    assert without == 4, "a row without weight does not count"


@pytest.mark.parametrize("by_quantiles", [False, True])
def test_intervals_cover_new_rows_on_average_as_often_as_they_should(by_quantiles: bool) -> None:
    """Over many calibrations the coverage is between c and c + 1 / (n + 1), whatever the model."""
    rng, inside, rows = np.random.default_rng(0), [], 39
    for _ in range(2_000):
        x = rng.uniform(0, 1, rows + 20)
        label = x + rng.standard_t(3, rows + 20) * (0.1 + x)
        score = 0.5 * x  # a poor model
        ends = np.column_stack([score - x, score + 0.3]) if by_quantiles else None
        fitted = Calibration.fit(label[:rows], score[:rows], np.ones(rows), 0.9, None if ends is None else ends[:rows])
        regions = fitted.regions(score[rows:], None if ends is None else ends[rows:])
        inside.append(regions.measures(label[rows:])[:, 0].mean())
    assert 0.9 - 3 * np.std(inside) / 2_000**0.5 <= np.mean(inside) <= 0.925 + 3 * np.std(inside) / 2_000**0.5


def test_sets_cover_new_rows_and_always_hold_the_most_likely_class() -> None:
    rng = np.random.default_rng(1)
    score = rng.dirichlet(np.ones(4), 6_000)
    label = (score.cumsum(1) < rng.random(6_000)[:, None]).sum(1).astype(float)
    fitted = Calibration.fit(label[:3_000], score[:3_000], np.ones(3_000), 0.8)
    regions = fitted.regions(score[3_000:])
    covered, size = regions.measures(label[3_000:]).T
    assert covered.mean() == pytest.approx(0.8, abs=0.03)
    assert 1 < size.mean() < 4 and size.min() >= 1
    sure = Calibration(coverage=0.8, quantile=0.0, by_quantiles=False, rows=9, crossed=0)
    assert sure.regions(score).values.sum(1).tolist() == [1] * 6_000


def test_quantiles_out_of_order_are_sorted_and_counted() -> None:
    ends = np.array([[1.0, 3.0], [4.0, 2.0], [0.0, 5.0]])
    fitted = Calibration.fit(np.array([2.0, 3.0, 6.0]), np.full(3, 2.0), np.ones(3), 0.7, ends)
    assert (fitted.crossed, fitted.rows, fitted.quantile) == (1, 3, 1.0)
    low, high = fitted.regions(np.array([2.0, 9.0, 2.0]), ends).values.T
    assert low.tolist() == [0.0, 1.0, -1.0] and high.tolist() == [4.0, 9.0, 6.0], "an interval holds the score"


def test_intervals_that_calibration_makes_narrower_do_not_turn_round() -> None:
    ends, score = np.array([[-1.0, 1.0]]).repeat(9, axis=0), np.zeros(9)
    fitted = Calibration.fit(np.zeros(9), score, np.ones(9), 0.9, ends * 10)
    assert fitted.quantile == -10
    low, high = fitted.regions(score, ends).values.T
    assert (low == 0).all() and (high == 0).all()


def test_a_calibration_is_plain_json_and_back() -> None:
    fitted = Calibration.fit(np.arange(20.0), np.zeros(20), np.ones(20), 0.9)
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_the_columns_are_ends_or_lists_of_classes() -> None:
    assert [*Regions(values=np.array([[1.0, 2.0]])).columns(None)] == ["low", "high"]
    sets = Regions(values=np.array([[True, False, True], [False, True, False], [False, False, False]]))
    assert sets.columns(("a", "b", "c"))["set"].to_pylist() == [["a", "c"], ["b"], []]
    two = Regions(values=class_scores("binary", np.array([0.2, 0.5])) > 0.4)
    assert two.columns(None)["set"].to_pylist() == [[0], [0, 1]]
    assert sets.take(np.array([2, 0])).measures(np.zeros(2)).tolist() == [[0.0, 0.0], [1.0, 2.0]]
