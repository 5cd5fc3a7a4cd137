"""Evaluation: values overall and by slice with intervals, in the contract's form, and a clear word on parts that cannot
be measured."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from part_fixture import binary, regression, spec_of

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.errors import DataError
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.groups import groups_of

N = 2000
CARRIER = np.array(["AA", "UA", "null"])[np.random.default_rng(1).choice(3, N, p=[0.6, 0.35, 0.05])]
ORIGIN = np.array(["JFK", "LGA"])[np.random.default_rng(2).integers(0, 2, N)]


def test_every_metric_is_measured_overall_and_by_slice() -> None:
    test = binary(n=N, columns={"carrier": CARRIER, "origin": ORIGIN})
    spec = spec_of(evaluate={"metrics": ["auc", "accuracy"], "slices": ["carrier", ["origin", "carrier"]]})
    rows = evaluate(replace(test, threshold=0.4), spec).as_json()
    assert [(row["metric"], row["slice"]) for row in rows[:4]] == [
        ("auc", {}),
        ("accuracy", {}),
        ("auc", {"carrier": "AA"}),
        ("accuracy", {"carrier": "AA"}),
    ]
    assert len(rows) == 2 * (1 + 3 + 6)
    for row in rows:
        inside = np.ones(N, bool)
        for column, name in row["slice"].items():
            inside &= test.columns[column] == name
        some = test.take(inside)
        assert row["rows"] == inside.sum()
        assert row["value"] == pytest.approx(
            metric_of(row["metric"])(some.label, some.score, some.weight, 0.4), rel=1e-12
        )
        assert row["low"] < row["value"] < row["high"]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_an_undefined_slice_is_null_and_not_left_out() -> None:
    test = binary(n=50, columns={"group": ["a"] * 49 + ["b"]})
    row = evaluate(test, spec_of(evaluate={"metrics": ["auc"], "slices": ["group"]})).as_json()[-1]
    assert row == {"metric": "auc", "slice": {"group": "b"}, "value": None, "low": None, "high": None, "rows": 1}


def test_rows_of_one_cluster_widen_the_interval() -> None:
    rows = binary(n=N)
    spec, day = spec_of(evaluate={"metrics": ["auc"]}), np.sort(rows.score).searchsorted(rows.score) // 50
    by_row = evaluate(rows, spec)
    by_day = evaluate(replace(rows, cluster=day.astype(np.uint64)), spec)
    assert (by_row.clusters, by_day.clusters) == (N, 40)
    assert by_day.resolution["auc"] > 1.5 * by_row.resolution["auc"]
    assert any("auc under" in note and "40 independent clusters" in note for note in by_day.notes)


def test_few_clusters_are_said() -> None:
    assert "only 5 independent clusters: intervals are rough" in evaluate(binary(clusters=5), spec_of()).notes


def test_a_part_of_one_class_leaves_auc_undefined_and_the_rest_measured() -> None:
    test = binary(n=300)
    found = evaluate(test.take(test.label == 0), spec_of(evaluate={"metrics": ["auc", "accuracy"]}))
    assert [math.isfinite(m.value) for m in found.measured] == [False, True]
    assert "auc is undefined on this part: no row has the label 1" in found.notes
    assert found.metrics_as_json()["auc"] == {
        "value": None,
        "low": None,
        "high": None,
        "why": "no row has the label 1",
    }


def test_regression_is_evaluated_without_a_threshold() -> None:
    found = evaluate(regression(), spec_of("regression"))
    assert [m.metric for m in found.measured] == ["rmse", "mae", "r2"]
    assert found.measured[0].low < 2 < found.measured[0].high


def test_multiclass_is_evaluated() -> None:
    rng = np.random.default_rng(0)
    score = rng.dirichlet(np.ones(3), 600)
    label = (rng.random(600)[:, None] > score.cumsum(axis=1)).sum(axis=1).astype(float)
    rows = replace(
        binary(n=600, columns={"g": ["a", "b"] * 300}),
        task="multiclass",
        classes=("x", "y", "z"),
        label=label,
        score=score,
    )
    found = evaluate(rows, spec_of("multiclass", evaluate={"slices": ["g"]}, bias={"groups": ["g"]}))
    assert [m.metric for m in found.measured[:3]] == ["log_loss", "accuracy", "balanced_accuracy"]
    assert all(m.low < m.value < m.high for m in found.measured)


def test_the_same_rows_give_the_same_bytes() -> None:
    test, spec = (
        binary(n=N, columns={"origin": ORIGIN}),
        spec_of(evaluate={"slices": ["origin"]}, bias={"groups": ["origin"]}),
    )
    first, again = (evaluate(replace(test, threshold=0.4), spec) for _ in range(2))
    assert json.dumps([first.as_json(), first.bias_as_json()]) == json.dumps([again.as_json(), again.bias_as_json()])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            lambda rows: replace(rows, score=np.where(rows.key < 3, np.nan, rows.score)),
            "3 of 2,000 scores are not numbers; keys 0, 1, 2",
        ),
        (lambda rows: replace(rows, weight=np.zeros(2000)), "the weights of the 2,000 rows sum to 0"),
        (lambda rows: replace(rows, weight=np.r_[-1.0, np.ones(1999)]), "the least is -1"),
        (lambda rows: rows.take(np.zeros(2000, bool)), "the part has no rows"),
    ],
)
def test_a_part_that_cannot_be_measured_says_why(broken: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(broken(binary()), spec_of())  # type: ignore[operator]


def test_groups_are_every_combination_that_occurs() -> None:
    test = binary(n=5, columns={"a": ["x", "y", "x", "y", "x"], "b": ["1", "1", "2", "1", "1"]})
    groups = groups_of(test, ("a", "b"))
    assert groups.names == ({"a": "x", "b": "1"}, {"a": "x", "b": "2"}, {"a": "y", "b": "1"})
    assert (groups.of.tolist(), groups.sizes.tolist()) == ([0, 2, 1, 2, 0], [2, 1, 2])


def test_a_slice_of_forty_thousand_values_is_cut_to_the_largest_and_said() -> None:
    n = 50_000
    store = np.array([f"store {i}" for i in range(40_000)], object)
    rows = binary(n=n, columns={"store": np.concatenate([store, np.repeat(store[:10], 1_000)])})
    found = evaluate(rows, spec_of(evaluate={"metrics": ["accuracy"], "slices": ["store"], "draws": 100}))
    sliced = [m for m in found.measured if m.slice]
    assert len(sliced) == 1000 and sorted(m.rows for m in sliced)[-10:] == [1001] * 10
    assert "store has 40,000 values; the largest 1,000 are measured" in found.notes
    assert found.weak.columns == ("store",) and found.weak.searched == 10
