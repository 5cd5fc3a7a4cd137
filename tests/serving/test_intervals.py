"""Intervals and sets of a loaded model: the columns that `predict` writes, from scores or from quantiles."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from serving_fixture import numbers, train_on_numbers

from ray_pipeline.conformal import Calibration
from ray_pipeline.errors import DataError
from ray_pipeline.serving import LoadedModel

NAMES = ("a", "b", "c")
ROWS = pa.table(dict(zip(NAMES, numbers(50, 3, seed=1).T, strict=True)))


def model_of(folder: Path, task: str, quantile: float, *, by_quantiles: bool = False) -> LoadedModel:
    calibration = Calibration(coverage=0.9, quantile=quantile, by_quantiles=by_quantiles, rows=100, crossed=0)
    return train_on_numbers(folder, task, NAMES, intervals=calibration)


def test_intervals_of_a_number_reach_as_far_as_the_quantile_of_residuals(tmp_path: Path) -> None:
    model = model_of(tmp_path, "regression", 1.5)
    score, found = model.predict(ROWS), model.intervals(ROWS)
    assert found.column_names == ["low", "high"]
    np.testing.assert_array_equal(found["low"].to_numpy(), score - 1.5)
    np.testing.assert_array_equal(found["high"].to_numpy(), score + 1.5)
    assert list(model.scored(ROWS)) == ["score", "decision", "low", "high"]


def test_intervals_of_quantiles_are_moved_by_the_calibration(tmp_path: Path) -> None:
    model = model_of(tmp_path, "regression", 0.25, by_quantiles=True)
    score, ends = model.score_and_ends(ROWS)
    assert ends is not None and (ends[:, 0] < ends[:, 1]).any() and score.shape == (50,)
    low, high = (model.intervals(ROWS)[name].to_numpy() for name in ("low", "high"))
    np.testing.assert_allclose(low, np.minimum(ends.min(1) - 0.25, score))
    np.testing.assert_allclose(high, np.maximum(ends.max(1) + 0.25, score))


def test_sets_hold_the_classes_that_are_likely_enough(tmp_path: Path) -> None:
    score = model_of(tmp_path / "any", "multiclass", 0.5).predict(ROWS)
    quantile = 1 - float(np.median(np.sort(score)[:, 1]))  # half of the rows have two classes that suffice
    sets = model_of(tmp_path, "multiclass", quantile).intervals(ROWS)["set"].to_pylist()
    assert len({len(one) for one in sets}) > 1
    classes = np.array(["high", "low", "mid"])
    assert sets == [classes[1 - probabilities <= quantile].tolist() for probabilities in score]


def test_sets_of_two_classes_are_of_0_and_1(tmp_path: Path) -> None:
    model = model_of(tmp_path, "binary", 0.9999)
    score, sets = model.predict(ROWS), model.intervals(ROWS)["set"].to_pylist()
    expected = [[kind for kind, p in ((0, 1 - one), (1, one)) if 1 - p <= 0.9999] for one in score]
    assert sets == expected and [0, 1] in sets


def test_no_rows_have_no_intervals(tmp_path: Path) -> None:
    for task, by_quantiles in (("regression", False), ("regression", True), ("multiclass", False)):
        model = model_of(tmp_path / f"{task}{by_quantiles}", task, 0.5, by_quantiles=by_quantiles)
        assert model.intervals(ROWS.slice(0, 0)).num_rows == 0


def test_a_model_without_intervals_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model has neither intervals nor sets · Fix: train it with `intervals:"):
        train_on_numbers(tmp_path, "regression", NAMES).intervals(ROWS)
