"""Folds in train + validation: a pure function of key, group or time, and scores of rows that a model has not seen."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_pipeline import encoded_block as packed
from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.errors import DataError
from ray_pipeline.hashing import hash_values
from ray_pipeline.tuning.backtests import Sample, Trained
from ray_pipeline.tuning.folds import Folds, assign_folds, check_classes, fit_folds

HOUR = 3_600_000_000


def sample_of(rows: int, seed: int = 0, *, groups: int = 0, time: bool = False) -> Sample:
    """Rows of two parts in the form of encoded blocks; groups stay together, times put validation last."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, 500, rows)) * HOUR
    group = rng.integers(0, groups, rows) if groups else np.zeros(rows, int)
    late = at >= np.quantile(at, 0.8) if time else (group % 5 == 0 if groups else rng.random(rows) < 0.2)
    key, matrix = rng.permutation(rows * 3)[:rows], rng.normal(size=(rows, 3)).astype(np.float32)
    columns: dict[str, Any] = {
        packed.LABEL: (rng.random(rows) < 1 / (1 + np.exp(-2 * matrix[:, 0]))).astype(float),
        packed.WEIGHT: np.ones(rows),
        packed.PART: late.astype(np.int8),
        packed.KEY: key,
        packed.CLUSTER: hash_values(pa.array(group if groups else key)),
    }
    if time:
        columns[packed.TIME] = at
    table = packed.pack({"trees": matrix}, {name: pa.array(values) for name, values in columns.items()})
    table = table.take(np.argsort(late, kind="stable"))
    return Sample.of(
        list(packed.views([table], "trees", "train")), list(packed.views([table], "trees", "validation")), 1
    )


def fold_by_key(sample: Sample, folds: Folds) -> dict[int, int]:
    return {int(sample.key[row]): number for number, rows in enumerate(folds.scored) for row in rows}


@settings(max_examples=20, deadline=None)
@given(number=st.integers(2, 10), seed=st.integers(0, 99), stratify=st.booleans())
def test_every_row_is_scored_once_by_a_model_that_has_not_seen_it(number: int, seed: int, stratify: bool) -> None:
    sample = sample_of(400, seed)
    folds = assign_folds(sample, number, stratify=stratify)
    assert len(folds) == number
    assert np.array_equal(np.sort(np.concatenate(folds.scored)), np.arange(400))
    for train, scored in zip(folds.train, folds.scored, strict=True):
        assert np.array_equal(np.sort(np.concatenate([train, scored])), np.arange(400))


@settings(max_examples=20, deadline=None)
@given(number=st.integers(2, 8), seed=st.integers(0, 99))
def test_a_row_keeps_its_fold_when_other_rows_are_added_or_the_order_changes(number: int, seed: int) -> None:
    whole = sample_of(400, seed)
    some = np.random.default_rng(seed).permutation(400)[:300]
    fields = ("matrix", "label", "weight", "key", "cluster", "unit", "place", "is_validation")
    part = Sample(**{name: getattr(whole, name)[some] for name in fields}, order=whole.order)
    known, again = fold_by_key(whole, assign_folds(whole, number)), fold_by_key(part, assign_folds(part, number))
    assert all(known[key] == fold for key, fold in again.items())


@settings(max_examples=20, deadline=None)
@given(number=st.integers(2, 6), seed=st.integers(0, 99))
def test_no_group_is_on_both_sides_of_a_fold_and_no_fold_is_empty(number: int, seed: int) -> None:
    sample = sample_of(300, seed, groups=12)
    for train, scored in zip(*vars(assign_folds(sample, number, stratify=True)).values(), strict=True):
        assert len(scored) and not {*sample.unit[train]} & {*sample.unit[scored]}


@settings(max_examples=20, deadline=None)
@given(number=st.integers(2, 8), seed=st.integers(0, 99), gap=st.integers(0, 20))
def test_by_time_training_rows_lie_before_the_scored_rows_less_the_gap(number: int, seed: int, gap: int) -> None:
    sample = sample_of(600, seed, time=True)
    assert sample.order == "time"
    folds = assign_folds(sample, number, gap=gap * HOUR)
    for train, scored in zip(folds.train, folds.scored, strict=True):
        assert sample.place[train].max() < sample.place[scored].min() - gap * HOUR
    ends = [sample.place[scored].max() for scored in folds.scored]
    assert ends == sorted(ends) and ends[-1] == sample.place.max()
    assert len(np.unique(np.concatenate(folds.scored))) == sum(map(len, folds.scored))


def test_a_stratified_fold_has_the_share_of_each_class() -> None:
    sample = sample_of(503)
    folds = assign_folds(sample, 5, stratify=True)
    for code in (0, 1):
        counts = [int((sample.label[scored] == code).sum()) for scored in folds.scored]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=20, deadline=None)
@given(number=st.integers(2, 6), seed=st.integers(0, 99), groups=st.integers(6, 80))
def test_stratified_folds_of_groups_have_the_share_of_each_class_but_for_one_group(
    number: int, seed: int, groups: int
) -> None:
    sample = sample_of(400, seed, groups=groups)
    sample.label[:] = sample.unit % np.uint64(3)
    folds = assign_folds(sample, number, stratify=True)
    for code in np.unique(sample.label):
        counts = [int((sample.label[scored] == code).sum()) for scored in folds.scored]
        _, sizes = np.unique(sample.unit[sample.label == code], return_counts=True)
        assert max(counts) - min(counts) <= sizes.max()


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(DataError, match="5 folds, but train and validation have 4 groups or rows") as refused:
        assign_folds(sample_of(200, groups=4), 5)
    assert "split.folds" in str(refused.value) and "write at most 4, or 0" in str(refused.value)


def test_a_gap_that_leaves_a_fold_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"folds in order of time, but only [0-9] of them have rows before them"):
        assign_folds(sample_of(200, time=True), 5, gap=400 * HOUR)


def test_a_class_in_one_fold_only_is_refused_by_its_name() -> None:
    sample = sample_of(200)
    folds = assign_folds(sample, 4)
    sample.label[:] = 0
    sample.label[folds.scored[2][:3]] = 1
    with pytest.raises(DataError, match=r"has not seen 'late' \(3 rows\)"):
        check_classes(sample, folds, ("on time", "late"))
    sample.label[folds.scored[1][:1]] = 1
    check_classes(sample, folds, ("on time", "late"))


def test_scores_out_of_fold_are_those_of_the_models_of_the_other_folds() -> None:
    sample = sample_of(600)
    context = TrainingContext(task="binary", num_classes=2, cardinalities={"trees": (0, 0, 0)}, threads=1)
    family = find("models", "xgboost")
    params = {
        **dict(family().space(context)),
        **family.start,
        "objective": "binary:logistic",
        "early_stopping_rounds": 20,
    }
    trained = Trained(family="xgboost", params=params, rounds=50, metric="auc", seed=3)
    folds = assign_folds(sample, 4)
    found = fit_folds(sample, folds, trained, context)
    assert np.array_equal(found.rows, np.concatenate(folds.scored)) and np.array_equal(
        found.label, sample.label[found.rows]
    )
    auc = find("metrics", "auc")()
    assert auc(found.label, found.score, found.weight) > 0.7
    assert found.as_json("auc")["value"] == auc(found.label, found.score, found.weight)
    assert [one["scored"] for one in found.by_fold] == [len(scored) for scored in folds.scored]
    assert 0 < found.rounds < 400 and len(found.models) == 4 == len(set(found.models))
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(found.models[0]))
    assert booster.num_boosted_rounds() == found.rounds
    scores = booster.inplace_predict(sample.matrix[folds.scored[0]])
    assert np.allclose(scores, found.score[: len(scores)], atol=1e-6)
    assert fit_folds(sample, folds, trained, context).models == found.models
