"""The threshold: no other is better by the rule, whatever the rule is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from part_fixture import binary, regression
from sklearn.metrics import balanced_accuracy_score, f1_score

from ray_pipeline.errors import SpecError
from ray_pipeline.evaluation.threshold import choose_threshold


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), digits=st.sampled_from([1, 2, 9]))
@pytest.mark.parametrize(("word", "oracle"), [("f1", f1_score), ("balanced_accuracy", balanced_accuracy_score)])
def test_no_other_threshold_is_better(word: str, oracle: object, seed: int, digits: int) -> None:
    rows = replace(binary(seed, 25), weight=np.random.default_rng(seed).uniform(0.1, 2, 25))
    rows = replace(rows, score=rows.score.round(digits), label=np.r_[0.0, 1.0, rows.label[2:]])
    chosen = choose_threshold(rows, {"maximize": word})
    values = [oracle(rows.label, rows.score >= cut, sample_weight=rows.weight) for cut in (chosen, *rows.score)]  # type: ignore[operator]
    assert values[0] == pytest.approx(max(values), abs=1e-12)


def test_costs_move_the_threshold_to_their_ratio() -> None:
    rows = binary(0, 50_000)
    chosen = choose_threshold(rows, {"cost": {"false_positive": 1, "false_negative": 4}})
    assert chosen == pytest.approx(1 / 5, abs=0.03)  # the best cut of calibrated scores (Elkan, 2001)


def test_a_number_is_itself_and_nothing_is_a_half() -> None:
    assert (choose_threshold(binary(), 0.3), choose_threshold(binary(), None)) == (0.3, 0.5)


def test_a_metric_without_decisions_cannot_choose() -> None:
    with pytest.raises(SpecError, match="'auc' does not depend on the threshold"):
        choose_threshold(binary(), {"maximize": "auc"})


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_part_of_one_class_has_a_threshold_all_the_same(label: float) -> None:
    rows = replace(binary(0, 20), label=np.full(20, label))
    assert 0 <= choose_threshold(rows, {"maximize": "f1"}) <= 1  # type: ignore[operator]


def test_a_regression_has_no_threshold() -> None:
    assert choose_threshold(regression(), {"maximize": "f1"}) is None
