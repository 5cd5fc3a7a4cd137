"""Weak slices: planted ones are found, alone and as crossings, and data without any gives none."""

from dataclasses import replace

import numpy as np
import pytest
from part_fixture import binary, regression, spec_of

from ray_pipeline.components.metrics import metric_of
from ray_pipeline.evaluation import weak_slices
from ray_pipeline.evaluation.evaluate import evaluate
from ray_pipeline.evaluation.weak_slices import WeakSlices, search_weak_slices
from ray_pipeline.values import Predictions

N = 12_000


def columns(seed: int, n: int = N) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "carrier": np.array(["AA", "DL", "UA", "WN", "B6"])[rng.integers(0, 5, n)],
        "origin": np.array(["EWR", "JFK", "LGA"])[rng.integers(0, 3, n)],
        "band": np.array(["a", "b", "c", "d"])[rng.integers(0, 4, n)],
    }


def spoilt(rows: Predictions, seed: int = 0, **where: str) -> Predictions:
    """The scores of that slice mixed up, so that there the model knows nothing."""
    inside = np.logical_and.reduce([rows.columns[column] == name for column, name in where.items()])
    score = rows.score.copy()
    score[inside] = np.random.default_rng(seed).permutation(score[inside])
    return replace(rows, score=score)


def searched(rows: Predictions, word: str = "auc") -> WeakSlices:
    return search_weak_slices(metric_of(word), replace(rows, threshold=0.4), min_rows=200, confidence=0.95)


@pytest.mark.parametrize("word", ["auc", "log_loss", "accuracy", "average_precision"])
def test_a_planted_value_is_found_and_nothing_that_only_shares_its_rows(word: str) -> None:
    found = searched(spoilt(binary(1, N, shift=2.0, columns=columns(1)), carrier="UA"), word)
    assert [weak.slice for weak in found.found] == [{"carrier": "UA"}]
    assert found.searched == 5 + 3 + 4 + 15 + 20 + 12


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_crossing_is_found_and_neither_of_its_columns(seed: int) -> None:
    found = searched(spoilt(binary(seed, N, shift=2.0, columns=columns(seed)), carrier="UA", origin="JFK"))
    assert [weak.slice for weak in found.found] == [{"carrier": "UA", "origin": "JFK"}]
    (weak,) = found.found
    assert weak.low < weak.value < weak.high and weak.difference < -0.2 and weak.p < 1e-6 and 600 < weak.rows < 1000


def test_two_planted_slices_are_both_found() -> None:
    rows = spoilt(spoilt(binary(3, N, shift=2.0, columns=columns(3)), carrier="UA", origin="JFK"), band="c")
    assert {tuple(weak.slice.values()) for weak in searched(rows).found} == {("UA", "JFK"), ("c",)}


@pytest.mark.parametrize("word", ["auc", "log_loss", "accuracy"])
def test_data_without_a_weak_slice_gives_none(word: str) -> None:
    found = [len(searched(binary(seed, 6_000, columns=columns(seed, 6_000)), word).found) for seed in range(20)]
    assert (
        sum(count > 0 for count in found) <= 3
    )  # P(X > 3) < 2 % where each of 20 finds something with probability 5 %


def test_rows_of_one_cluster_do_not_make_a_slice_weak() -> None:
    """A bad day spoils a few clusters, which is luck if days are what is independent."""
    rows = binary(0, 6_000, columns=columns(0, 6_000))
    day = np.random.default_rng(1).integers(0, 60, 6_000)
    carrier = np.where(day < 3, "XX", rows.columns["carrier"])
    bad = spoilt(replace(rows, columns={"carrier": carrier}), carrier="XX")
    assert [weak.slice for weak in searched(bad).found] == [{"carrier": "XX"}]
    assert searched(replace(bad, cluster=(day // 20).astype(np.uint64))).found == ()


def test_the_worse_side_is_the_metrics_own() -> None:
    rows = regression(0, 8_000, columns=columns(0, 8_000))
    worse = rows.columns["origin"] == "LGA"
    off = replace(
        rows, score=np.where(worse, rows.score + 3, np.where(rows.columns["band"] == "a", rows.label, rows.score))
    )
    found = searched(off, "rmse")
    assert {"origin": "LGA"} in [weak.slice for weak in found.found]
    assert not [weak for weak in found.found if weak.slice.get("band") == "a" or weak.difference < 0]


def test_they_are_part_of_the_evaluation_and_said() -> None:
    rows = spoilt(binary(1, N, shift=2.0, columns=columns(1)), carrier="UA")
    found = evaluate(
        replace(rows, threshold=0.4), spec_of(evaluate={"metrics": ["auc"], "slices": ["carrier", "origin"]})
    )
    written = found.weak_as_json()
    assert written["found"][0]["slice"] == {"carrier": "UA"} and written["columns"] == ["carrier", "origin", "band"]
    assert any("auc is worse than overall in 1 of" in note for note in found.notes)


def test_no_columns_no_search() -> None:
    assert searched(binary()) == WeakSlices(found=(), searched=0, columns=(), rows=2000)


def test_kinds_that_come_in_turn_are_both_among_the_rows_that_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weak_slices, "MAX_ROWS", 1_000)
    rows = binary(n=4_000, columns={"sensor": ["a", "b"] * 2_000})
    found = search_weak_slices(metric_of("auc"), rows, min_rows=100, confidence=0.95)
    assert found.searched == 2 and 800 < found.rows < 1_200
