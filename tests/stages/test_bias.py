"""Bias: rates by group as they are, planted gaps found, no gap where there is none, small groups shown but not judged."""

import math
from dataclasses import replace

import numpy as np
import pytest
from part_fixture import binary, regression, spec_of

from ray_pipeline.stages.bias import Bias, audit

N = 6000
SEX = np.array(["Female", "Male"])[np.random.default_rng(5).integers(0, 2, N)]
RACE = np.array(["A", "B", "C"])[np.random.default_rng(6).choice(3, N, p=[0.5, 0.495, 0.005])]


def found(rows: tuple[Bias, ...], measure: str, **group: str) -> Bias:
    (row,) = [row for row in rows if row.measure == measure and (not group or row.group == group)]
    return row


def test_each_group_has_its_rates() -> None:
    test = binary(n=N, columns={"sex": SEX})
    rows = audit(test, 0.4, spec_of(bias={"groups": ["sex"]}))
    women = test.columns["sex"] == "Female"
    rate = found(rows, "true_positive_rate", sex="Female")
    assert rate.value == pytest.approx((test.score[women & (test.label == 1)] >= 0.4).mean())
    assert found(rows, "selection_rate", sex="Male").value == pytest.approx((test.score[~women] >= 0.4).mean())
    assert found(rows, "mean_score", sex="Female").value == pytest.approx(test.score[women].mean())
    assert rate.low < rate.value < rate.high and rate.rows == women.sum()


def test_a_planted_gap_is_found_and_its_ratio() -> None:
    test = binary(n=N, columns={"sex": SEX})
    lowered = replace(test, score=np.where(test.columns["sex"] == "Female", test.score * 0.7, test.score))
    rows = audit(lowered, 0.4, spec_of(bias={"groups": ["sex"]}))
    women, men = (found(rows, "selection_rate", sex=sex).value for sex in ("Female", "Male"))
    gap, ratio = found(rows, "selection_rate gap"), found(rows, "selection_rate ratio")
    assert gap.value == pytest.approx(men - women) and 0 < gap.low < gap.value < gap.high
    assert ratio.value == pytest.approx(women / men) and 0 < ratio.low < ratio.value < ratio.high < 1
    assert (gap.reduction, gap.group, gap.rows) == ("gap", {"sex": "Female to Male"}, N)


def test_a_gap_of_noise_reaches_down_to_none() -> None:
    for seed in range(10):
        gap = found(audit(binary(seed, N, columns={"race": RACE}), 0.4, spec_of(bias={"groups": ["race"]})), "selection_rate gap")
        assert gap.value > 0
        if gap.low == 0:
            return
    raise AssertionError("ten gaps of noise were all taken for real")


def test_a_group_under_the_minimum_is_shown_and_not_judged() -> None:
    rows = audit(binary(n=N, columns={"race": RACE}), 0.4, spec_of(bias={"groups": ["race"], "measures": ["selection_rate"]}))
    assert [row.group.get("race") for row in rows[:3]] == ["A", "B", "C"]
    small, gap = rows[2], found(rows, "selection_rate gap")
    assert 0 < small.rows < 200
    assert gap.rows == N - small.rows
    assert gap.value == pytest.approx(abs(rows[0].value - rows[1].value))


def test_one_judged_group_has_no_gap() -> None:
    rows = audit(binary(n=300, columns={"race": ["A"] * 290 + ["B"] * 10}), 0.4, spec_of(bias={"groups": ["race"]}))
    gap = found(rows, "selection_rate gap")
    assert math.isnan(gap.value) and gap.group == {"race": ""}


def test_intersections_have_every_column() -> None:
    rows = audit(binary(n=N, columns={"sex": SEX, "race": RACE}), 0.4, spec_of(bias={"groups": [["sex", "race"]], "measures": ["precision"]}))
    assert rows[0].group == {"sex": "Female", "race": "A"}
    assert len([row for row in rows if row.reduction is None]) == 6


def test_a_rate_of_zero_has_a_ratio_of_zero_that_is_not_certain() -> None:
    test = binary(n=N, columns={"sex": SEX})
    never = replace(test, score=np.where(test.columns["sex"] == "Female", 0.1, test.score))
    ratio = found(audit(never, 0.4, spec_of(bias={"groups": ["sex"]})), "selection_rate ratio")
    assert (ratio.value, ratio.low) == (0, 0) and 0 < ratio.high < 0.1


def test_regression_has_errors_and_residuals_and_no_ratio_of_those() -> None:
    test = regression(n=N, columns={"sex": SEX})
    shifted = replace(test, label=test.label + (test.columns["sex"] == "Female"))
    rows = audit(shifted, None, spec_of("regression", bias={"groups": ["sex"]}))
    gap = found(rows, "mean_residual gap")
    assert gap.low < 1 < gap.high and gap.low > 0.8
    assert "mean_residual ratio" not in {row.measure for row in rows} and "rmse ratio" in {row.measure for row in rows}
