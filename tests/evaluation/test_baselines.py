"""The constant and the linear baseline: their scores, and what they read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray
from encoded_fixture import SPEC, context, encoded
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.encoded_block import EncodedBlock, views
from ray_pipeline.evaluation.baselines import baselines, constant, label_sums, linear
from ray_pipeline.spec import Spec

TASKS = ["binary", "multiclass", "regression"]
CARDINALITIES = (0, 0, 4)


def rows_of(task: str, rows: int, seed: int) -> EncodedBlock:
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([rng.normal(size=rows), rng.lognormal(size=rows), rng.integers(0, 4, rows)]).astype(
        np.float32
    )
    signal = matrix[:, 0] + 0.5 * np.log(matrix[:, 1]) + 1.5 * (matrix[:, 2] == 3) + rng.normal(0, 0.5, rows)
    matrix[rng.random(rows) < 0.1, 0] = np.nan
    matrix[rng.random(rows) < 0.1, 2] = np.nan
    label = {"binary": signal > 0.7, "multiclass": np.digitize(signal, [0.2, 1.2]), "regression": signal}[task].astype(
        float
    )
    return EncodedBlock(matrix=matrix, label=label, weight=rng.random(rows), rows=pa.table({}))


def training_context(task: Any, cardinalities: tuple[int, ...] = CARDINALITIES) -> TrainingContext:
    classes = {"binary": 2, "multiclass": 3, "regression": 0}[task]
    return TrainingContext(task=task, num_classes=classes, cardinalities={"trees": cardinalities}, threads=1)


def flat(train: EncodedBlock, task: str) -> Any:
    return constant(label_sums(train, training_context(task)), training_context(task))


def design(matrix: Any) -> Any:
    ids = np.where(np.isnan(matrix[:, 2]), 4, matrix[:, 2]).astype(int)
    return np.column_stack([np.nan_to_num(matrix[:, 0]), np.isnan(matrix[:, 0]), np.log(matrix[:, 1]), np.eye(5)[ids]])


@pytest.mark.parametrize("task", TASKS)
def test_the_constant_scores_as_the_dummy_of_scikit_learn(task: str) -> None:
    train, other = rows_of(task, 600, 0), rows_of(task, 90, 1)
    if task == "regression":
        expected = DummyRegressor().fit(train.matrix, train.label, train.weight).predict(other.matrix)
    else:
        expected = (
            DummyClassifier(strategy="prior").fit(train.matrix, train.label, train.weight).predict_proba(other.matrix)
        )
        expected = expected[:, 1] if task == "binary" else expected
    np.testing.assert_allclose(flat(train, task)(other.matrix), expected, rtol=1e-12)


def test_the_linear_baseline_ranks_as_a_logistic_regression_on_the_true_terms_does() -> None:
    train, other = rows_of("binary", 4_000, 0), rows_of("binary", 4_000, 1)
    ours = roc_auc_score(other.label, linear(train, training_context("binary"), "trees")(other.matrix))
    fitted = LogisticRegression(max_iter=500).fit(design(train.matrix), train.label, train.weight)
    assert ours == pytest.approx(
        roc_auc_score(other.label, fitted.predict_proba(design(other.matrix))[:, 1]), abs=0.005
    )


@pytest.mark.parametrize("task", TASKS)
def test_the_linear_baseline_beats_the_constant_in_every_task(task: str) -> None:
    train, other, context = rows_of(task, 2_000, 0), rows_of(task, 700, 1), training_context(task)
    target = np.eye(3)[other.label.astype(int)] if task == "multiclass" else other.label
    squared = []
    for scorer in (linear(train, context, "trees"), flat(train, task)):
        score = scorer(other.matrix)
        assert score.shape == target.shape and np.isfinite(score).all()
        squared.append(float(((score - target) ** 2).mean()))
    assert squared[0] < 0.8 * squared[1]


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_class_that_the_sample_lacks_has_a_score(task: Any) -> None:
    train, context = rows_of(task, 400, 0), training_context(task)
    kept = train.label < context.num_classes - 1
    few = replace(train, matrix=train.matrix[kept], label=train.label[kept], weight=train.weight[kept])
    scores = linear(few, context, "trees")(train.matrix)
    rare = scores if task == "binary" else scores[:, -1]
    assert (rare >= 0).all() and rare.mean() < 0.02


@pytest.mark.parametrize("columns", [[0], [2]], ids=["numbers", "categories"])
def test_columns_of_one_kind_and_columns_without_a_value_are_enough(columns: list[int]) -> None:
    train = rows_of("binary", 400, 0)
    matrix = np.column_stack([train.matrix[:, columns], np.full(400, np.nan)]).astype(np.float32)
    context = training_context("binary", (*(CARDINALITIES[at] for at in columns), 0))
    scores = linear(replace(train, matrix=matrix), context, "trees")(matrix)
    assert roc_auc_score(train.label, scores) > 0.6


def test_heavy_rows_count_more() -> None:
    train, context = rows_of("binary", 2_000, 0), training_context("binary")
    heavy = replace(train, weight=train.weight * np.where(train.label == 1, 5.0, 1.0))
    means = [linear(rows, context, "trees")(train.matrix).mean() for rows in (train, heavy)]
    assert means[1] > means[0] + 0.1


@pytest.mark.ray
def test_both_are_scored_on_validation_by_the_metric_of_the_search(ray_local: None) -> None:
    spec = Spec.from_text(SPEC.replace("metric: auc", "metric: log_loss"), file="toy.yaml", folder=Path())
    rows = encoded()
    same, straight = baselines(rows, context(), spec)
    label = {
        part: np.concatenate(
            [block["label"].to_numpy()[block["part"].to_numpy() == part] for block in ray.get(list(rows.blocks))]
        )
        for part in (0, 1)
    }
    mean = label[0].mean()
    assert (same.name, same.metric, straight.name) == ("constant", "log_loss", "linear")
    assert same.value == pytest.approx(-np.mean(np.where(label[1] == 1, np.log(mean), np.log(1 - mean))), rel=1e-9)
    assert straight.value < same.value - 0.05


@pytest.mark.ray
def test_only_sums_and_sampled_rows_of_train_come_to_the_driver(
    ray_local: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray_pipeline.evaluation.baselines.SAMPLE_ROWS", 300)
    spec = Spec.from_text(SPEC, file="toy.yaml", folder=Path())
    rows, seen = encoded(), []
    monkeypatch.setattr("ray_pipeline.evaluation.baselines.linear", lambda sample, *_: seen.append(sample) or _half)
    baselines(rows, context(), spec)
    every = rows.rows["train"] // 300
    blocks = [next(views([block], "trees", "train")) for block in ray.get(list(rows.blocks))]
    np.testing.assert_array_equal(seen[0].matrix, np.concatenate([block.matrix[::every] for block in blocks]))
    np.testing.assert_array_equal(seen[0].label, np.concatenate([block.label[::every] for block in blocks]))


def _half(matrix: Any) -> Any:
    return np.full(len(matrix), 0.5)
