"""What every calibrator must do: give probabilities, keep the order of scores, survive JSON, and not make the loss it
was fitted on worse."""

import json
import subprocess
import sys
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression, minimize_scalar
from scipy.special import logsumexp

from ray_pipeline.components.calibrators._base import TINY, load, logit
from ray_pipeline.components.choice import find, menu
from ray_pipeline.components.metrics.log_loss import LogLoss

Rows = tuple[Any, Any, Any]
KINDS = pytest.mark.parametrize("kind", menu("calibrators"))
SHAPES = pytest.mark.parametrize("classes", [2, 3])


def rows(seed: int, classes: int, n: int = 300) -> Rows:
    """Overconfident scores, ties among them."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=(n, classes)).round(1)
    true = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    sure = np.exp(3 * odds) / np.exp(3 * odds).sum(axis=1, keepdims=True)
    label = (rng.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1).clip(0, classes - 1).astype(float)
    return label, sure[:, 1] if classes == 2 else sure, rng.uniform(0.2, 2, n)


@KINDS
@SHAPES
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_gives_probabilities_and_survives_json(kind: str, classes: int, seed: int) -> None:
    label, score, weight = rows(seed, classes)
    fitted = find("calibrators", kind).fit(label, score, weight)
    written = json.loads(json.dumps(fitted.model_dump(mode="json")))
    assert written["kind"] == kind
    assert load(written) == fitted
    calibrated = fitted.apply(score)
    assert calibrated.shape == score.shape and (calibrated >= 0).all() and (calibrated <= 1).all()
    assert np.array_equal(load(written).apply(score), calibrated)
    if classes > 2:
        assert calibrated.sum(axis=1) == pytest.approx(1)


@KINDS
@SHAPES
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_lowers_the_loss_of_overconfident_scores(kind: str, classes: int, seed: int) -> None:
    label, score, weight = rows(seed, classes)
    loss = LogLoss()
    before, after = (
        loss(label, score, weight),
        loss(label, find("calibrators", kind).fit(label, score, weight).apply(score), weight),
    )
    assert after == before if kind == "none" else after < before - 0.05


@KINDS
def test_it_keeps_the_order_of_binary_scores(kind: str) -> None:
    label, score, weight = rows(1, 2)
    sorted_scores = np.concatenate([[0.0], np.sort(score), [1.0]])
    assert (np.diff(find("calibrators", kind).fit(label, score, weight).apply(sorted_scores)) >= -1e-15).all()


@KINDS
@pytest.mark.parametrize("score", [np.full(20, 0.3), np.repeat([0.0, 1.0], 10)], ids=["constant", "separable"])
def test_it_survives_scores_that_say_nothing_or_everything(kind: str, score: Any) -> None:
    label = np.repeat([0.0, 1.0], 10)
    assert np.isfinite(find("calibrators", kind).fit(label, score, np.ones(20)).apply(score)).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_isotonic_is_the_nondecreasing_function_of_the_least_squared_error(seed: int) -> None:
    label, score, weight = rows(seed, 2)
    score = score.round(9)  # neighbours within 1e-15 are ties
    scores, place = np.unique(score, return_inverse=True)
    weights = np.bincount(place, weight)
    expected = isotonic_regression(np.bincount(place, weight * label) / weights, weights=weights).x
    fitted = find("calibrators", "isotonic").fit(label, score, weight)
    assert fitted.apply(scores) == pytest.approx(expected, abs=1e-9)
    halfway = (scores[1:] + scores[:-1]) / 2
    assert fitted.apply(halfway) == pytest.approx((expected[1:] + expected[:-1]) / 2, abs=1e-9)
    assert fitted.apply(np.array([0.0, 1.0])) == pytest.approx(expected[[0, -1]], abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_sigmoid_has_the_least_log_loss_on_platts_targets(seed: int) -> None:
    label, score, weight = rows(seed, 2)
    ones, zeros = weight[label == 1].sum(), weight[label == 0].sum()
    target = np.where(label == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    fitted = find("calibrators", "sigmoid").fit(label, score, weight)
    error = weight * (fitted.apply(score) - target)  # the loss is convex: at its minimum the gradient is zero
    assert [error.sum(), error @ logit(score)] == pytest.approx([0, 0], abs=1e-6)


def test_sigmoid_separates_what_is_separable_by_platts_targets() -> None:
    fitted = find("calibrators", "sigmoid").fit(np.repeat([0.0, 1.0], 10), np.repeat([0.0, 1.0], 10), np.ones(20))
    assert fitted.apply(np.array([0.0, 1.0])) == pytest.approx([1 / 12, 11 / 12], abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), classes=st.sampled_from([2, 3]))
def test_temperature_has_the_least_log_loss(seed: int, classes: int) -> None:
    label, score, weight = rows(seed, classes)
    odds = np.stack([np.zeros_like(score), logit(score)], axis=1) if classes == 2 else np.log(np.clip(score, TINY, 1))
    true = odds[np.arange(len(label)), label.astype(int)]

    def loss(temperature: float) -> float:
        return float(weight @ (logsumexp(odds / temperature, axis=1) - true / temperature))

    best = minimize_scalar(
        lambda inverse: loss(1 / inverse), bounds=(1 / 20, 20), method="bounded", options={"xatol": 1e-6}
    )
    fitted = find("calibrators", "temperature").fit(label, score, weight).temperature
    assert loss(fitted) <= best.fun * (1 + 1e-9)


def test_temperature_finds_the_one_that_was_planted() -> None:
    label, score, weight = rows(0, 3, n=20_000)
    assert find("calibrators", "temperature").fit(label, score, weight).temperature == pytest.approx(3, rel=0.05)


ALONE = """
import json, sys
sys.modules.update(dict.fromkeys(("ray", "mlflow", "pandas", "sklearn", "scipy")))
import numpy as np
from ray_pipeline.components.calibrators._base import load
for written, score in json.loads(sys.argv[1]):
    print([one.hex() for one in load(written).apply(np.array(score)).ravel().tolist()])
"""


def test_each_is_applied_with_numpy_alone() -> None:
    given, expected = [], []
    for kind, classes in product(menu("calibrators"), (2, 3)):
        label, score, weight = rows(0, classes, n=40)
        fitted = find("calibrators", kind).fit(label, score, weight)
        given.append([fitted.model_dump(mode="json"), score.tolist()])
        expected.append(str([one.hex() for one in fitted.apply(score).ravel().tolist()]))
    done = subprocess.run([sys.executable, "-c", ALONE, json.dumps(given)], capture_output=True, text=True)
    assert done.stdout.splitlines() == expected, done.stderr
