"""Bias: rates by group as they are, planted gaps found, no gap where there is none, small groups shown but not
judged."""

import math
from dataclasses import replace
from pathlib import Path

import fairlearn.metrics as fairlearn
import numpy as np
import pyarrow.parquet as pq
import pytest
from part_fixture import binary, regression, spec_of
from sklearn.metrics import accuracy_score, precision_score

import ray_pipeline
from ray_pipeline.evaluation.bias import Bias, audit
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.values import Predictions

N = 6000
SEX = np.array(["Female", "Male"])[np.random.default_rng(5).integers(0, 2, N)]
RACE = np.array(["A", "B", "C"])[np.random.default_rng(6).choice(3, N, p=[0.5, 0.495, 0.005])]


def found(rows: tuple[Bias, ...], measure: str, **group: str) -> Bias:
    (row,) = [row for row in rows if row.measure == measure and (not group or row.group == group)]
    return row


def test_each_group_has_its_rates() -> None:
    test = binary(n=N, columns={"sex": SEX})
    rows = audit(replace(test, threshold=0.4), spec_of(bias={"groups": ["sex"]}))
    women = test.columns["sex"] == "Female"
    rate = found(rows, "true_positive_rate", sex="Female")
    assert rate.value == pytest.approx((test.score[women & (test.label == 1)] >= 0.4).mean())
    assert found(rows, "selection_rate", sex="Male").value == pytest.approx((test.score[~women] >= 0.4).mean())
    assert found(rows, "mean_score", sex="Female").value == pytest.approx(test.score[women].mean())
    assert rate.low < rate.value < rate.high and rate.rows == women.sum()


def test_a_planted_gap_is_found_and_its_ratio() -> None:
    test = binary(n=N, columns={"sex": SEX})
    lowered = replace(test, score=np.where(test.columns["sex"] == "Female", test.score * 0.7, test.score))
    rows = audit(replace(lowered, threshold=0.4), spec_of(bias={"groups": ["sex"]}))
    women, men = (found(rows, "selection_rate", sex=sex).value for sex in ("Female", "Male"))
    gap, ratio = found(rows, "selection_rate gap"), found(rows, "selection_rate ratio")
    assert gap.value == pytest.approx(men - women) and 0 < gap.low < gap.value < gap.high
    assert ratio.value == pytest.approx(women / men) and 0 < ratio.low < ratio.value < ratio.high < 1
    assert (gap.reduction, gap.group, gap.rows) == ("gap", {"sex": "Female to Male"}, N)


def test_a_gap_of_noise_reaches_down_to_none() -> None:
    for seed in range(10):
        gap = found(
            audit(replace(binary(seed, N, columns={"race": RACE}), threshold=0.4), spec_of(bias={"groups": ["race"]})),
            "selection_rate gap",
        )
        assert gap.value > 0
        if gap.low == 0:
            return
    raise AssertionError("ten gaps of noise were all taken for real")


def test_a_group_under_the_minimum_is_shown_and_not_judged() -> None:
    rows = audit(
        replace(binary(n=N, columns={"race": RACE}), threshold=0.4),
        spec_of(bias={"groups": ["race"], "measures": ["selection_rate"]}),
    )
    assert [row.group.get("race") for row in rows[:3]] == ["A", "B", "C"]
    small, gap = rows[2], found(rows, "selection_rate gap")
    assert 0 < small.rows < 200
    assert gap.rows == N - small.rows
    assert gap.value == pytest.approx(abs(rows[0].value - rows[1].value))


def test_a_group_of_three_rows_is_shown_and_not_judged() -> None:
    rows = audit(
        replace(binary(n=N, columns={"race": np.where(np.arange(N) < 3, "few", RACE)}), threshold=0.4),
        spec_of(bias={"groups": ["race"], "measures": ["selection_rate", "precision"]}),
    )
    assert [row.rows for row in rows if row.group.get("race") == "few"] == [3, 3]
    assert "few" not in str(found(rows, "selection_rate gap").group)


def test_one_judged_group_has_no_gap() -> None:
    rows = audit(
        replace(binary(n=300, columns={"race": ["A"] * 290 + ["B"] * 10}), threshold=0.4),
        spec_of(bias={"groups": ["race"]}),
    )
    gap = found(rows, "selection_rate gap")
    assert math.isnan(gap.value) and gap.group == {"race": ""}


def test_intersections_have_every_column() -> None:
    rows = audit(
        replace(binary(n=N, columns={"sex": SEX, "race": RACE}), threshold=0.4),
        spec_of(bias={"groups": [["sex", "race"]], "measures": ["precision"]}),
    )
    assert rows[0].group == {"sex": "Female", "race": "A"}
    assert len([row for row in rows if row.reduction is None]) == 6


def test_a_rate_of_zero_has_a_ratio_of_zero_that_is_not_certain() -> None:
    test = binary(n=N, columns={"sex": SEX})
    never = replace(test, score=np.where(test.columns["sex"] == "Female", 0.1, test.score))
    ratio = found(audit(replace(never, threshold=0.4), spec_of(bias={"groups": ["sex"]})), "selection_rate ratio")
    assert (ratio.value, ratio.low) == (0, 0) and 0 < ratio.high < 0.1


def test_regression_has_errors_and_residuals_and_no_ratio_of_those() -> None:
    test = regression(n=N, columns={"sex": SEX})
    shifted = replace(test, label=test.label + (test.columns["sex"] == "Female"))
    rows = audit(shifted, spec_of("regression", bias={"groups": ["sex"]}))
    gap = found(rows, "mean_residual gap")
    assert gap.low < 1 < gap.high and gap.low > 0.8
    assert "mean_residual ratio" not in {row.measure for row in rows} and "rmse ratio" in {row.measure for row in rows}


@pytest.mark.parametrize("by", [("sex",), ("race",), ("sex", "race")])
def test_every_rate_gap_and_ratio_is_fairlearns(by: tuple[str, ...]) -> None:
    test = binary(n=N, columns={"sex": SEX, "race": RACE})
    measures = {
        "selection_rate": fairlearn.selection_rate,
        "true_positive_rate": fairlearn.true_positive_rate,
        "false_positive_rate": fairlearn.false_positive_rate,
        "true_negative_rate": fairlearn.true_negative_rate,
        "false_negative_rate": fairlearn.false_negative_rate,
        "precision": precision_score,
        "accuracy": accuracy_score,
    }
    groups = [list(by)] if len(by) > 1 else list(by)
    rows = audit(
        replace(test, threshold=0.3), spec_of(bias={"groups": groups, "measures": list(measures), "min_rows": 1})
    )
    frame = fairlearn.MetricFrame(
        metrics=measures,
        y_true=test.label,
        y_pred=test.score >= 0.3,
        sensitive_features={column: test.columns[column].astype(str) for column in by},
    )
    for measure in measures:
        for row in rows:
            if row.measure == measure:
                place = tuple(row.group.values()) if len(by) > 1 else next(iter(row.group.values()))
                assert row.value == pytest.approx(frame.by_group[measure].loc[place], abs=1e-12)
        assert found(rows, f"{measure} gap").value == pytest.approx(frame.difference()[measure], abs=1e-12)
        assert found(rows, f"{measure} ratio").value == pytest.approx(frame.ratio()[measure], abs=1e-12)


def test_adult_s_label_rates_are_those_of_its_readme() -> None:
    file = Path(ray_pipeline.__file__).parent / "examples" / "adult" / "data" / "adult.parquet"
    table = pq.read_table(file, columns=["income", "sex", "race"]).to_pydict()
    n = len(table["sex"])
    label = np.array([float(income == ">50K") for income in table["income"]])
    columns = {name: np.array(table[name], object) for name in ("sex", "race")}
    test = Predictions(
        task="binary",
        classes=("0", "1"),
        key=np.arange(n),
        label=label,
        score=label,
        weight=np.ones(n),
        cluster=np.arange(n, dtype=np.uint64),
        columns=columns,
    )
    rows = audit(test, spec_of(bias={"groups": ["sex", "race"], "measures": ["label_rate"]}))
    known = (
        {"Male": 0.3038, "Female": 0.1093},
        {"White": 0.2540, "Black": 0.1208, "Asian-Pac-Islander": 0.2693, "Amer-Indian-Eskimo": 0.1170, "Other": 0.1232},
    )
    for column, rates in zip(("sex", "race"), known, strict=True):
        assert {name: round(found(rows, "label_rate", **{column: name}).value, 4) for name in rates} == rates
    of_sex = [row for row in rows if row.reduction and "sex" in row.group]
    assert [(row.reduction, round(row.value, 4), row.group) for row in of_sex] == [
        ("gap", 0.1945, {"sex": "Female to Male"}),
        ("ratio", 0.3597, {"sex": "Female to Male"}),
    ]
    assert all(row.low < row.value < row.high for row in rows)


def test_the_four_fifths_rule_is_held_against_the_interval() -> None:
    test, spec = binary(n=N, columns={"sex": SEX}), spec_of(bias={"groups": ["sex"]})
    women = test.columns["sex"] == "Female"
    for factor, expected in ((0.6, "broken"), (1.0, "kept")):
        rows = audit(
            replace(replace(test, score=np.where(women, test.score * factor, test.score)), threshold=0.3), spec
        )
        assert found(rows, "selection_rate ratio").four_fifths == expected
    few = test.take(np.arange(600))
    assert found(audit(replace(few, threshold=0.3), spec), "selection_rate ratio").four_fifths == "open"
    assert {row.four_fifths for row in rows if row.measure != "selection_rate ratio"} == {None}
    broken = evaluate(replace(replace(test, score=np.where(women, test.score * 0.6, test.score)), threshold=0.3), spec)
    assert any("four-fifths rule broken by sex" in note and "Female to Male" in note for note in broken.notes)
    (finding,) = (row["finding"] for row in broken.bias_as_json() if "finding" in row)
    assert (finding["check"], finding["severity"], finding["column"]) == ("four_fifths", "medium", "sex")
    assert finding["found"] in broken.notes and "selection_rate ratio by" in finding["fix"]
    assert not any("finding" in row for row in evaluate(replace(test, threshold=0.3), spec).bias_as_json())


def test_groups_of_equal_scores_and_unequal_labels_are_miscalibrated() -> None:
    test = binary(n=N, columns={"sex": SEX})
    rng, women = np.random.default_rng(77), test.columns["sex"] == "Female"
    shifted = replace(test, label=np.where(women & (rng.random(N) < 0.2), 1.0, test.label))
    rows = audit(
        replace(shifted, threshold=0.4), spec_of(bias={"groups": ["sex"], "measures": ["mean_residual", "score_p50"]})
    )
    assert found(rows, "mean_residual", sex="Female").low > 0.05
    assert found(rows, "mean_residual", sex="Male").low < 0 < found(rows, "mean_residual", sex="Male").high
    assert found(rows, "score_p50 gap").low == 0
