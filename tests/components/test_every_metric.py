"""What every metric must do: agree with scikit-learn, add up over any partition, say when it is undefined, know each
row's influence."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as oracle
from exact_metrics_fixture import exact_value
from hypothesis import given, settings
from hypothesis import strategies as st
from part_fixture import regression
from sklearn.utils.stats import _weighted_percentile

from ray_pipeline.components.choice import UnknownChoice, find, menu
from ray_pipeline.components.metrics import BIAS_DEFAULTS, DEFAULTS, metric_of, metrics_without_parameters, names
from ray_pipeline.components.metrics._base import SumMetric
from ray_pipeline.evaluation.bootstrap import replicate
from ray_pipeline.evaluation.linearized_variance import linearized_bounds
from ray_pipeline.values import Task

THRESHOLD = 0.4
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
WITH_PARAMETERS = (
    "f_beta(beta=3)",
    "f_beta(average=macro,beta=2)",
    "lift_at(share=0.2)",
    "pinball(quantile=0.25)",
    "absolute_error_quantile(quantile=0.75)",
    "score_quantile(quantile=0.3)",
    "precision(average=macro)",
)
EVERY = (*(metric.name for metric in metrics_without_parameters() if not metric.of_regions), *WITH_PARAMETERS)
"""Metrics of intervals and sets take other scores: see test_region_metrics.py."""
Rows = tuple[Any, Any, Any]
SHIFTS_AND_SCALES = (
    *((shift, 1.0) for shift in (0.0, 1e3, 1e7, 1e8, 1e12)),
    *((0.0, 1e-30), (0.0, 1e30), (-1e8, 1e-3), (1e15, 10.0), (1e30, 1e20)),
)


def decided(metric: Callable[..., float], **options: Any) -> Callable[..., float]:
    return lambda y, s, w: float(metric(y, s >= THRESHOLD, sample_weight=w, **options))


def of_cells(formula: Callable[..., float]) -> Callable[..., float]:
    def value(y: Any, s: Any, w: Any) -> float:
        tn, fp, fn, tp = oracle.confusion_matrix(y, s >= THRESHOLD, sample_weight=w, labels=[0, 1]).ravel()
        return formula(tn, fp, fn, tp)

    return value


def ece(y: Any, s: Any, w: Any) -> float:
    """Row by row, as the paper writes it."""
    bins: dict[int, list[int]] = {}
    for i, p in enumerate(s):
        bins.setdefault(min(int(p * 15), 14), []).append(i)
    return float(sum(abs(sum(w[i] * y[i] for i in b) - sum(w[i] * s[i] for i in b)) for b in bins.values()) / w.sum())


def ks(y: Any, s: Any, w: Any) -> float:
    fpr, tpr, _ = oracle.roc_curve(y, s, sample_weight=w, drop_intermediate=False)
    return float(np.abs(tpr - fpr).max())


def lift(share: float) -> Callable[..., float]:
    """Score by score from the top, a tie at the cut taken in part."""

    def value(y: Any, s: Any, w: Any) -> float:
        left, caught = share * w.sum(), 0.0
        for score in sorted(set(s), reverse=True):
            tied = s == score
            part = min(left / w[tied].sum(), 1.0)
            caught += part * (w * y)[tied].sum()
            left -= part * w[tied].sum()
            if part < 1:
                break
        return float(caught / (w * y).sum() / share)

    return value


def averaged(metric: Callable[..., float], average: str) -> Callable[..., float]:
    return lambda y, s, w: float(metric(y, s.argmax(axis=1), average=average, sample_weight=w))


def _sk(metric: Callable[..., float]) -> Callable[..., float]:
    return lambda y, s, w: metric(y, s, sample_weight=w)


BINARY: dict[str, Callable[..., float]] = {
    "auc": _sk(oracle.roc_auc_score),
    "average_precision": _sk(oracle.average_precision_score),
    "log_loss": lambda y, s, w: oracle.log_loss(y, s, sample_weight=w, labels=[0, 1]),
    "brier": _sk(oracle.brier_score_loss),
    "accuracy": decided(oracle.accuracy_score),
    "balanced_accuracy": decided(oracle.balanced_accuracy_score),
    "precision": decided(oracle.precision_score, zero_division=np.nan),
    "recall": decided(oracle.recall_score, zero_division=np.nan),
    "true_positive_rate": decided(oracle.recall_score, zero_division=np.nan),
    "true_negative_rate": decided(oracle.recall_score, pos_label=0, zero_division=np.nan),
    "f1": decided(oracle.f1_score, zero_division=np.nan),
    "mcc": decided(oracle.matthews_corrcoef),
    "false_positive_rate": of_cells(lambda tn, fp, fn, tp: fp / (fp + tn)),
    "false_negative_rate": of_cells(lambda tn, fp, fn, tp: fn / (fn + tp)),
    "selection_rate": of_cells(lambda tn, fp, fn, tp: (tp + fp) / (tn + fp + fn + tp)),
    "mean_score": lambda y, s, w: np.average(s, weights=w),
    "ece": ece,
    "ks": ks,
    "label_rate": lambda y, s, w: np.average(y, weights=w),
    "mean_residual": lambda y, s, w: np.average(y - s, weights=w),
    **{f"score_p{q}": lambda y, s, w, q=q: _weighted_percentile(s, w, q, average=True) for q in (10, 50, 90)},
    "lift_at_1": lift(0.01),
    "lift_at_5": lift(0.05),
    "lift_at_10": lift(0.1),
    "lift_at(share=0.2)": lift(0.2),
    "score_quantile(quantile=0.3)": lambda y, s, w: _weighted_percentile(s, w, 30, average=True),
    "f_beta(beta=3)": decided(oracle.fbeta_score, beta=3, zero_division=np.nan),
    "f2": decided(oracle.fbeta_score, beta=2, zero_division=np.nan),
    "f0_5": decided(oracle.fbeta_score, beta=0.5, zero_division=np.nan),
    "negative_predictive_value": decided(
        lambda y, s, **options: oracle.precision_score(y, s, pos_label=0, **options), zero_division=np.nan
    ),
}
MULTICLASS: dict[str, Callable[..., float]] = {
    "log_loss": lambda y, s, w: oracle.log_loss(y, s, sample_weight=w, labels=list(range(s.shape[1]))),
    "accuracy": lambda y, s, w: oracle.accuracy_score(y, s.argmax(axis=1), sample_weight=w),
    "balanced_accuracy": lambda y, s, w: oracle.balanced_accuracy_score(y, s.argmax(axis=1), sample_weight=w),
    "brier": lambda y, s, w: oracle.brier_score_loss(
        y, s, sample_weight=w, labels=list(range(s.shape[1])), scale_by_half=False
    ),
    "ece": lambda y, s, w: ece(s.argmax(axis=1) == y, s.max(axis=1), w),
    "auc": lambda y, s, w: oracle.roc_auc_score(y, s, multi_class="ovr", average="macro", sample_weight=w),
    "auc_weighted": lambda y, s, w: oracle.roc_auc_score(y, s, multi_class="ovr", average="weighted", sample_weight=w),
    "average_precision": lambda y, s, w: oracle.average_precision_score(
        np.eye(3)[y.astype(int)], s, average="macro", sample_weight=w
    ),
    **{
        f"{kind}_{average}": averaged(getattr(oracle, f"{kind}_score"), average)
        for kind in ("precision", "recall", "f1")
        for average in ("macro", "micro", "weighted")
    },
}
MULTICLASS["precision(average=macro)"] = MULTICLASS["precision_macro"]
MULTICLASS["f_beta(average=macro,beta=2)"] = lambda y, s, w: oracle.fbeta_score(
    y, s.argmax(axis=1), beta=2, average="macro", sample_weight=w
)
REGRESSION: dict[str, Callable[..., float]] = {
    "rmse": _sk(oracle.root_mean_squared_error),
    "mae": _sk(oracle.mean_absolute_error),
    "r2": _sk(oracle.r2_score),
    "mean_residual": lambda y, s, w: np.average(y - s, weights=w),
    "mape": lambda y, s, w: oracle.mean_absolute_percentage_error(y[y != 0], s[y != 0], sample_weight=w[y != 0]),
    "rmsle": lambda y, s, w: (
        oracle.root_mean_squared_log_error(y, s, sample_weight=w) if min(y.min(), s.min()) > -1 else np.nan
    ),
    "median_absolute_error": _sk(oracle.median_absolute_error),
    "absolute_error_p90": lambda y, s, w: _weighted_percentile(np.abs(y - s), w, 90, average=True),
    "absolute_error_p99": lambda y, s, w: _weighted_percentile(np.abs(y - s), w, 99, average=True),
    **{
        f"pinball_{q}": lambda y, s, w, q=q: oracle.mean_pinball_loss(y, s, alpha=q / 100, sample_weight=w)
        for q in (10, 50, 90)
    },
    "pinball(quantile=0.25)": lambda y, s, w: oracle.mean_pinball_loss(y, s, alpha=0.25, sample_weight=w),
    "absolute_error_quantile(quantile=0.75)": lambda y, s, w: _weighted_percentile(np.abs(y - s), w, 75, average=True),
}
ORACLES = {"binary": BINARY, "multiclass": MULTICLASS, "regression": REGRESSION}
SMOOTHED = tuple(find("metrics", word) for word in ("lift_at", "absolute_error_quantile", "score_quantile"))
"""Their influence is compared with the bootstrap elsewhere: single rows would say 0 or infinity."""
CASES = [(word, task) for word in EVERY for task in TASKS if metric_of(word).fits(task)]


@st.composite
def rows(draw: st.DrawFn, task: str) -> Rows:
    """Labels, scores with ties, and weights, none of a task's classes absent."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(4, 60))
    weight = rng.uniform(0.1, 3, n) if draw(st.booleans()) else np.ones(n)
    if task == "regression":
        label = rng.normal(draw(st.sampled_from([0.0, 10.0])), draw(st.sampled_from([0.1, 10.0])), n)
        return label, label + rng.normal(0, 2, n), weight
    if task == "multiclass":
        score = rng.dirichlet(np.ones(3), n)
        return np.concatenate([np.arange(3), rng.integers(0, 3, n - 3)]).astype(float), score, weight
    score = rng.random(n).round(draw(st.sampled_from([1, 2, 12])))
    score[:2], label = (0.0, 1.0), np.concatenate([[0, 1], rng.integers(0, 2, n - 2)]).astype(float)
    return label, np.roll(score, draw(st.integers(0, 3))), weight


def test_every_metric_has_an_oracle() -> None:
    assert sorted(CASES) == sorted((word, task) for task, oracles in ORACLES.items() for word in oracles)


@pytest.mark.parametrize(("word", "task"), CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_it_agrees_with_scikit_learn(word: str, task: str, data: st.DataObject) -> None:
    label, score, weight = data.draw(rows(task))
    value = metric_of(word)(label, score, weight, THRESHOLD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ORACLES[task][word](label, score, weight)
    if math.isnan(value) and word == "mcc":
        expected = (
            math.nan if len({*(score >= THRESHOLD)}) == 1 else expected
        )  # scikit-learn says 0 where it is undefined
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def hard_rows(task: str, number: int) -> tuple[str, Rows]:
    """Rows that are shifted, scaled, tied, constant, tiny or huge, with and without weights; the same each time."""
    rng, n = np.random.default_rng(number), 30
    weight = rng.uniform(0.1, 3, n).round(1) * 2.0 ** (100 * (number % 3 - 1)) if number % 2 else np.ones(n)
    weight[:2] = 0 if number % 5 == 1 else weight[:2]
    if task == "multiclass":
        score = rng.dirichlet(np.full(3, (0.01, 1.0, 100.0)[number % 3]), n)
        score = score.round(2) if number % 4 == 0 else score
        return f"{number}", (rng.integers(0, 3 - (number % 7 == 6), n).astype(float), score, weight)
    if task == "binary":
        score = (
            rng.random(n),
            rng.random(n).round(1),
            rng.random(n) * 1e-300,
            1 - rng.random(n) * 1e-15,
            np.full(n, 1 / 3),
            rng.integers(0, 2, n).astype(float),
        )[number % 6]
        return f"{number}", ((rng.random(n) < (0.5, 0.1, 0.9)[number % 3]).astype(float), score, weight)
    shift, scale = SHIFTS_AND_SCALES[number % 10]
    base = rng.normal(0, 1, n) if number % 20 < 10 else rng.integers(0, 3, n).astype(float)
    label = shift + scale * (base if number % 50 < 40 else np.ones(n))
    return f"{shift:g} and {scale:g}", (label, label + scale * rng.normal(0, 0.3, n), weight)


@pytest.mark.parametrize(("word", "task"), CASES)
def test_it_agrees_with_exact_arithmetic(word: str, task: str) -> None:
    metric = metric_of(word)
    for rows, (label, score, weight) in (hard_rows(task, number) for number in range(50)):
        expected = exact_value(metric, task, label, score, weight, THRESHOLD)
        value = metric(label, score, weight, THRESHOLD)
        if expected is None:
            assert math.isnan(value), rows
            continue
        # a difference of sums is as exact as these sums: residuals of both signs, 1 less a share, quotients of shares
        size = abs(expected)
        if word == "mean_residual":
            size = exact_value(metric_of("mae"), "regression", label, score, weight, THRESHOLD) or Fraction(0)
        elif word in ("r2", "mcc", "ks"):
            size += 1
        assert abs(Fraction(value) - expected) <= Fraction(1, 10**12) * size, rows


@pytest.mark.parametrize("shift", [0.0, 1e7, 1e8, 1e12])
def test_r2_and_its_intervals_do_not_depend_on_where_zero_is(shift: float) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(-999, 999, 400).astype(float)
    plain = replace(regression(0, 400), label=label, score=label + rng.integers(-300, 300, 400))
    moved = replace(plain, label=plain.label + shift, score=plain.score + shift)
    metric, group = metric_of("r2"), np.arange(400) % 3
    far = replace(moved, label=moved.label + 1e9 * group, score=moved.score + 1e9 * group)
    ours, theirs = (replicate([metric], rows, draws=50, seed=1)["r2"] for rows in (moved, plain))
    assert ours == pytest.approx(theirs, rel=1e-9)
    for rows in (moved, far):
        of_groups, expected = (linearized_bounds([metric], one, group, 0.95)["r2"] for one in (rows, plain))
        assert of_groups.value == pytest.approx(expected.value, rel=1e-9)
        assert of_groups.low == pytest.approx(expected.low, rel=1e-6)


@pytest.mark.parametrize(("word", "task"), CASES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_weight_counts_as_that_many_rows(word: str, task: str, data: st.DataObject) -> None:
    label, score, _ = data.draw(rows(task))
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(label), max_size=len(label))))
    times[:3] = 1
    metric = metric_of(word)
    repeated = metric(np.repeat(label, times), np.repeat(score, times, axis=0), np.ones(times.sum()), THRESHOLD)
    assert metric(label, score, times.astype(float), THRESHOLD) == pytest.approx(
        repeated, rel=1e-9, abs=1e-9, nan_ok=True
    )


@pytest.mark.parametrize(("word", "task"), [case for case in CASES if isinstance(metric_of(case[0]), SumMetric)])
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_sums_add_up_over_any_partition(word: str, task: str, data: st.DataObject) -> None:
    label, score, weight = data.draw(rows(task))
    part = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(label), max_size=len(label))))
    metric = metric_of(word)
    parts = [metric.sums(label[part == k], score[part == k], weight[part == k], THRESHOLD) for k in range(4)]
    assert sum(parts) == pytest.approx(metric.sums(label, score, weight, THRESHOLD), rel=1e-12, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(("word", "task"), CASES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_influence_is_the_derivative_by_each_rows_weight(word: str, task: str, data: st.DataObject) -> None:
    label, score, weight = data.draw(rows(task))
    metric = metric_of(word)
    value = metric(label, score, weight, THRESHOLD)
    if not math.isfinite(value):
        return
    if isinstance(metric, SMOOTHED):
        return
    influence, i = metric.influence(label, score, weight, THRESHOLD), data.draw(st.integers(0, len(label) - 1))
    moved = []
    for sign in (1, -1):
        changed = weight.copy()
        changed[i] += sign * 1e-5
        moved.append(metric(label, score, changed, THRESHOLD))
    # Where the largest of several moves from one to another (KS) the two sides differ, and the influence is one of
    # those between.
    sides = sorted(weight[i] * difference / 1e-5 for difference in (moved[0] - value, value - moved[1]))
    near = 1e-3 * abs(influence[i]) + 1e-5
    assert sides[0] - near <= influence[i] <= sides[1] + near
    assert influence.sum() == pytest.approx(0, abs=1e-6 * (1 + np.abs(influence).sum()))


@pytest.mark.parametrize(
    "word", ["auc", "average_precision", "recall", "balanced_accuracy", "mcc", "false_negative_rate"]
)
def test_it_is_undefined_without_a_positive(word: str) -> None:
    assert math.isnan(metric_of(word)(np.zeros(3), np.array([0.1, 0.2, 0.9]), np.ones(3)))


def test_balanced_accuracy_leaves_out_classes_without_rows_as_scikit_learn_does() -> None:
    label, score = np.array([0.0, 0, 1, 1]), np.eye(3)[[0, 2, 1, 1]]
    expected = oracle.recall_score(label, score.argmax(axis=1), labels=[0, 1], average="macro")
    assert metric_of("balanced_accuracy")(label, score, np.ones(4)) == pytest.approx(expected) == 0.75
    assert metric_of("balanced_accuracy").influence(label, score, np.ones(4)).sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("word", "task"), CASES)
def test_it_is_undefined_without_rows(word: str, task: str) -> None:
    score = np.empty((0, 3)) if task == "multiclass" else np.empty(0)
    assert math.isnan(metric_of(word)(np.empty(0), score, np.empty(0)))


def test_r2_is_undefined_where_all_labels_are_equal() -> None:
    assert math.isnan(find("metrics", "r2")()(np.full(5, 1e3 / 3), np.arange(5.0), np.ones(5)))


@pytest.mark.parametrize("word", EVERY)
def test_it_declares_what_the_spec_needs(word: str) -> None:
    metric = metric_of(word)
    assert metric.tasks and any(metric.fits(task) for task in metric.tasks)
    assert metric.better in ("lower", "higher") and metric.range[0] < metric.range[1]


@pytest.mark.parametrize("word", EVERY)
def test_it_is_called_what_was_written(word: str) -> None:
    assert metric_of(word).name == word
    assert metric_of(metric_of(word).name) == metric_of(word)


def test_every_file_is_tried_here() -> None:
    files = {find("metrics", word) for word in menu("metrics")}
    assert {type(metric_of(word)) for word in EVERY} == {file for file in files if not file.of_regions}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ({"f_beta": {"beta": 2}}, "f_beta(beta=2)"),
        ({"f_beta": {"beta": 2.0, "average": "macro"}}, "f_beta(average=macro,beta=2)"),
        ("f_beta( average = macro, beta = 0.50 )", "f_beta(average=macro,beta=0.5)"),
        ({"lift_at": {"share": 0.05}}, "lift_at(share=0.05)"),
        ({"precision": {"average": "macro"}}, "precision(average=macro)"),
        ({"precision": {"average": None}}, "precision"),
        ({"auc": {"average": "macro"}}, "auc"),
        ({"f1": None}, "f1"),
        ({"f1": {"average": "macro"}}, "f1(average=macro)"),
        ("f2(beta=2)", "f2"),
        ("f2(beta=3)", "f2(beta=3)"),
    ],
)
def test_a_name_says_the_parameters_that_the_word_alone_does_not(written: object, name: str) -> None:
    assert metric_of(written).name == name


def test_an_alias_is_the_metric_with_the_parameters_that_it_stands_for() -> None:
    assert dict(metric_of("f0_5")) == dict(metric_of("f_beta(beta=0.5)"))
    assert type(metric_of("auc_weighted")) is find("metrics", "auc")
    assert {"f1", "f2", "median_absolute_error", "lift_at_5", "f_beta", "auc"} <= set(names())


def test_an_unknown_metric_offers_the_nearest_name_aliases_included() -> None:
    with pytest.raises(UnknownChoice, match=r"there is no metric 'f11'; did you mean 'f1'\? Known: .*lift_at_5"):
        metric_of("f11")


def test_defaults_fit_their_task() -> None:
    for defaults in (DEFAULTS, BIAS_DEFAULTS):
        for task, words in defaults.items():
            assert all(metric_of(word).fits(task) for word in words)
