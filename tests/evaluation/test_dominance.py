"""A nearly perfect score that rests on one column is doubted before registration; an easy table is not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundle_fixture import train
from part_fixture import binary, regression
from sklearn.metrics import r2_score

from ray_pipeline import pipeline
from ray_pipeline.errors import DataError
from ray_pipeline.evaluation.dominance import shuffled_skills, skill_of
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.values import Predictions

ROWS, CODES = 6_000, 120
SPEC = """\
name: doubted
task: binary
features: {labels: {path: rows.parquet, label: y, key: id}}
split: {by: random}
model: {xgboost: {num_boost_round: 80, max_depth: 6, learning_rate: 0.3, subsample: 1.0}}
search: {trials: 1}
evaluate: {draws: 100}
register: false
"""


def test_the_skill_is_the_r2_of_the_scores() -> None:
    for rows in (binary(), regression()):
        expected = r2_score(rows.label, rows.score, sample_weight=rows.weight)
        assert skill_of(rows, rows.score) == pytest.approx(expected)


def test_the_skill_of_classes_is_one_for_certain_scores_and_none_for_the_shares(tmp_path: Path) -> None:
    label = np.array([0, 1, 2, 1])
    rows = Predictions(
        task="multiclass",
        classes=("a", "b", "c"),
        key=np.arange(4),
        label=label.astype(float),
        score=np.eye(3)[label],
        weight=np.ones(4),
        cluster=np.arange(4, dtype=np.uint64),
    )
    assert skill_of(rows, rows.score) == 1
    assert skill_of(rows, np.tile([0.25, 0.5, 0.25], (4, 1))) == pytest.approx(0)


def test_shuffling_a_column_that_the_model_uses_costs_skill_and_another_does_not(tmp_path: Path) -> None:
    trained = train(tmp_path, task="regression")
    matrix = trained.bundle.encoder.apply(trained.rows)
    rows = Predictions(
        task="regression",
        key=np.arange(len(matrix)),
        label=trained.raw.astype(float),
        score=trained.bundle.score_matrix(matrix),
        weight=np.ones(len(matrix)),
        cluster=np.arange(len(matrix), dtype=np.uint64),
    )
    skills = shuffled_skills(trained.bundle, matrix, rows)
    assert set(skills) == set(trained.rows.column_names)
    assert skills["weather.temp"] < 0.8 < 0.99 < skills["late"]


def written(folder: Path, more: Callable[[np.ndarray, np.random.Generator], dict[str, np.ndarray]]) -> Spec:
    """A spec of a table whose `code` has many values, each with one label."""
    rng = np.random.default_rng(2)
    outcome = (rng.random(CODES) < 0.4).astype(int)
    code = rng.integers(0, CODES, ROWS)
    columns = {"id": np.arange(ROWS), "y": outcome[code], "noise": rng.normal(size=ROWS), **more(outcome[code], rng)}
    names = np.array([f"code {number}" for number in range(CODES)])[code]
    pq.write_table(pa.table({**columns, "code": names}), folder / "rows.parquet")
    return Spec.from_text(SPEC, file="doubted.yaml", folder=folder)


@pytest.mark.ray
def test_a_text_of_many_values_that_decides_the_label_stops_before_registration(
    ray_local: None, tmp_path: Path
) -> None:
    spec = written(tmp_path, lambda label, rng: {"weak": label + 2 * rng.normal(size=ROWS)})
    with pytest.raises(DataError) as raised:
        pipeline.run(spec, Where(storage=str(tmp_path / "runs")))
    (problem,) = raised.value.problems
    assert (problem.column, raised.value.exit_code) == ("code", 3)
    assert "when the values of code are shuffled" in problem.found
    (checks,) = (tmp_path / "runs").glob("*/checks.json")
    first = json.loads(checks.read_text())[0]
    assert (first["check"], first["column"], first["severity"]) == ("dominating", "code", "high")


@pytest.mark.ray
def test_a_column_that_was_accepted_is_not_doubted(ray_local: None, tmp_path: Path) -> None:
    spec = written(tmp_path, lambda label, rng: {"weak": label + 2 * rng.normal(size=ROWS)})
    accepted = Spec.from_text(f"{SPEC}checks: {{ignore: ['leakage:code']}}\n", file="doubted.yaml", folder=spec.folder)
    assert pipeline.run(accepted, Where(storage=str(tmp_path / "runs"))).metrics["auc"]["value"] > 0.99
