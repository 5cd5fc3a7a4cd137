"""The constant and the linear baseline, against scikit-learn's dummies and its logistic regression."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from encoded_fixture import SPEC, context, encoded
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.encoded_block import EncodedBlock
from ray_pipeline.evaluation.baselines import baselines, constant, linear
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


def training_context(task: Any) -> TrainingContext:
    return TrainingContext(task, {"binary": 2, "multiclass": 3, "regression": 0}[task], {"trees": CARDINALITIES}, 1)


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
    np.testing.assert_allclose(constant([train], training_context(task))(other.matrix), expected, rtol=1e-12)


def test_the_linear_baseline_ranks_as_scikit_learns_logistic_regression_does() -> None:
    train, other = rows_of("binary", 4_000, 0), rows_of("binary", 4_000, 1)
    ours = roc_auc_score(other.label, linear([train], training_context("binary"), "trees")(other.matrix))
    fitted = LogisticRegression(max_iter=500).fit(design(train.matrix), train.label, train.weight)
    assert ours == pytest.approx(
        roc_auc_score(other.label, fitted.predict_proba(design(other.matrix))[:, 1]), abs=0.005
    )


@pytest.mark.parametrize("task", TASKS)
def test_the_linear_baseline_beats_the_constant_in_every_task(task: str) -> None:
    train, other, context = rows_of(task, 2_000, 0), rows_of(task, 700, 1), training_context(task)
    target = np.eye(3)[other.label.astype(int)] if task == "multiclass" else other.label
    squared = []
    for scorer in (linear([train], context, "trees"), constant([train], context)):
        score = scorer(other.matrix)
        assert score.shape == target.shape and np.isfinite(score).all()
        squared.append(float(((score - target) ** 2).mean()))
    assert squared[0] < 0.8 * squared[1]


def test_both_are_scored_on_validation_by_the_metric_of_the_search(ray_local: None) -> None:
    spec = Spec.from_text(SPEC.replace("metric: auc", "metric: log_loss"), file="toy.yaml", folder=Path())
    rows = encoded()
    flat, straight = baselines(rows, context(), spec, ("0", "1"))
    label = {
        part: np.concatenate([block["label"].to_numpy()[block["part"].to_numpy() == part] for block in rows.fetch()])
        for part in (0, 1)
    }
    mean = label[0].mean()
    assert (flat.name, flat.metric, straight.name) == ("constant", "log_loss", "linear")
    assert flat.value == pytest.approx(-np.mean(np.where(label[1] == 1, np.log(mean), np.log(1 - mean))), rel=1e-9)
    assert straight.value < flat.value - 0.05
