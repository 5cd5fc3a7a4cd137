"""Calibration and threshold: kept from noise, taken where they help, and the best threshold is the best of all."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from part_fixture import binary, regression
from sklearn.metrics import balanced_accuracy_score, f1_score

from ray_pipeline.components.calibrators._base import logit, sigmoid
from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics.log_loss import LogLoss
from ray_pipeline.errors import SpecError
from ray_pipeline.evaluation.calibrate import calibrate, choose_threshold, rates_agree
from ray_pipeline.tuning.validate import Validation


def test_auto_leaves_calibrated_scores_alone() -> None:
    assert [calibrate(binary(seed, 4000), "auto", same_rates=True).kind for seed in range(3)] == ["none"] * 3


def test_auto_mends_overconfident_scores_so_that_fresh_rows_gain() -> None:
    good, fresh = binary(0, 4000), binary(1, 4000)
    bad = sigmoid(3 * logit(good.score))
    fitted = calibrate(replace(good, score=bad), "auto", same_rates=True)
    assert fitted.kind != "none"
    loss, fresh_bad = LogLoss(), sigmoid(3 * logit(fresh.score))
    assert loss(fresh.label, fitted.apply(fresh_bad), fresh.weight) < loss(fresh.label, fresh_bad, fresh.weight) - 0.05


def test_auto_is_none_where_rates_differ_but_a_named_kind_is_obeyed() -> None:
    bad = replace(binary(0, 2000), score=sigmoid(3 * logit(binary(0, 2000).score)))
    assert calibrate(bad, "auto", same_rates=False).kind == "none"
    assert calibrate(bad, "isotonic", same_rates=False).kind == "isotonic"
    assert calibrate(bad, "none", same_rates=True).kind == "none"


def test_auto_survives_a_part_with_hardly_a_positive() -> None:
    rows = binary(0, 40)
    assert calibrate(replace(rows, label=np.r_[1.0, np.zeros(39)]), "auto", same_rates=True).kind == "none"


def test_regression_is_never_calibrated() -> None:
    assert calibrate(regression(), "auto", same_rates=True).kind == "none"
    assert choose_threshold(regression(), {"maximize": "f1"}) is None


def test_rates_agree_within_noise_only() -> None:
    assert rates_agree(0.30, 10_000, 0.31, 10_000)
    assert not rates_agree(0.30, 100_000, 0.31, 100_000)
    assert not rates_agree([0.2, 0.3, 0.5], 1000, [0.2, 0.4, 0.4], 1000)
    assert rates_agree(0.0, 100, 0.0, 100)


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


def test_what_calibration_changed_is_said() -> None:
    raw = binary(n=500)
    before = replace(raw, score=raw.score**2)
    calibrator = find("calibrators", "sigmoid").fit(raw.label, before.score, raw.weight)
    after = replace(before, score=calibrator.apply(before.score), threshold=0.5)
    changed = Validation(raw=before, calibrated=after, calibrator=calibrator).calibration_as_json()
    assert changed is not None and changed["kind"] == "sigmoid" and changed["rows"] == 500
    assert all(changed[metric]["after"] < changed[metric]["before"] for metric in ("ece", "log_loss", "brier"))
    none = find("calibrators", "none")()
    assert Validation(raw=regression(), calibrated=regression(), calibrator=none).calibration_as_json() is None
