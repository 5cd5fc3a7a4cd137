"""Drift without labels: columns against the training rows, scores against those of test; counted block by block."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from part_fixture import binary

from ray_pipeline.evaluation.score_drift import ScoreDrift, drifted, score_histograms
from ray_pipeline.profiling import drift

TEST = binary(n=3_000)
TRAIN = pa.table({"age": np.random.default_rng(0).normal(40, 10, 3_000), "kind": ["a", "b", "c"] * 1_000})


def measured(age: float, odds: float, rows: int = 2_000) -> tuple[dict[str, Any], pa.Table, pa.Table]:
    """The drift of rows of that mean age, whose log odds are shifted; the rows that came out, and that went in."""
    known = ScoreDrift.from_json(
        drift.to_json(drift.histograms(TRAIN, TRAIN.column_names)), drift.to_json(score_histograms(TEST))
    )
    rng = np.random.default_rng(1)
    table = pa.table({"age": rng.normal(age, 10, rows), "kind": rng.choice(["a", "b", "c"], rows)})
    score = TEST.score[:rows] / (TEST.score[:rows] + (1 - TEST.score[:rows]) * np.exp(-odds))
    scored = pa.table({"key": np.arange(rows), "score": score})
    blocks = [known.packed(table.slice(start, 300), scored.slice(start, 300)) for start in range(0, rows, 300)]
    out = pa.concat_tables(known.counted(iter([pa.concat_tables(blocks[:3]), *blocks[3:]])))
    return known.as_json(), out, scored


def moved(answer: dict[str, Any]) -> list[str]:
    return drifted([*answer["drift"], *answer["score_drift"]])


def test_rows_like_those_of_the_training_show_no_drift_and_come_out_as_they_went_in() -> None:
    answer, out, scored = measured(40, 0)
    assert out == scored
    assert [row["severity"] for row in (*answer["drift"], *answer["score_drift"])] == [None] * 3
    assert moved(answer) == []


def test_a_column_and_a_score_that_moved_are_named() -> None:
    column, score = measured(52, 0)[0], measured(40, 1.5)[0]
    assert column["drift"][0]["column"] == "age" and moved(column) == ["age"]
    assert moved(score) == ["score"] and score["score_drift"][0]["index"] > 0.25


def test_each_class_has_a_histogram_of_its_scores() -> None:
    part = replace(TEST, task="multiclass", classes=("x", "y"), score=np.column_stack([TEST.score, 1 - TEST.score]))
    assert [*score_histograms(part)] == ["score_x", "score_y"]


def test_a_version_without_stored_scores_or_columns_has_no_drift_to_report() -> None:
    known = ScoreDrift.from_json(None, None)
    assert known.as_json() == {"drift": [], "score_drift": []}
    packed = known.packed(TRAIN, pa.table({"score": np.zeros(3_000)}))
    assert [len(rows) for rows in known.counted(iter([packed]))] == [3_000]
