"""Calibration: not fitted to noise, and taken where it helps."""

from dataclasses import replace

import numpy as np
from part_fixture import binary, regression

from ray_pipeline.components.calibrators._base import logit, sigmoid
from ray_pipeline.components.choice import find
from ray_pipeline.components.metrics.log_loss import LogLoss
from ray_pipeline.evaluation.calibrate import calibrate, rates_agree
from ray_pipeline.tuning.validate import Validation


def test_auto_leaves_calibrated_scores_alone() -> None:
    assert [calibrate(binary(seed, 4000), "auto", same_rates=True).kind for seed in range(3)] == ["none"] * 3


def test_auto_corrects_overconfident_scores_so_that_fresh_rows_gain() -> None:
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


def test_auto_leaves_scores_alone_where_rows_are_few() -> None:
    """27 rows that their scores separate, as a table of 150 has them: the best temperature is 0.05, its bound."""
    few = replace(binary(0, 27), label=np.r_[np.ones(9), np.zeros(18)], score=np.r_[np.full(9, 0.9), np.full(18, 0.2)])
    assert calibrate(few, "auto", same_rates=True).kind == "none"
    assert calibrate(few, "temperature", same_rates=True).kind == "temperature"
    rare = binary(0, 300)
    separated = replace(rare, label=np.r_[np.ones(4), np.zeros(296)], score=np.r_[np.full(4, 0.6), np.full(296, 0.2)])
    assert calibrate(separated, "auto", same_rates=True).kind == "none"
    for seed in range(3):
        over = replace(binary(seed, 400), score=sigmoid(3 * logit(binary(seed, 400).score)))
        assert calibrate(over, "auto", same_rates=True).kind != "none"


def test_regression_is_never_calibrated() -> None:
    assert calibrate(regression(), "auto", same_rates=True).kind == "none"


def test_rates_agree_within_noise_only() -> None:
    assert rates_agree(0.30, 10_000, 0.31, 10_000)
    assert not rates_agree(0.30, 100_000, 0.31, 100_000)
    assert not rates_agree([0.2, 0.3, 0.5], 1000, [0.2, 0.4, 0.4], 1000)
    assert rates_agree(0.0, 100, 0.0, 100)


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
