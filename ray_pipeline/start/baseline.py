"""A quick baseline: boosted trees of scikit-learn on the sampled rows of train and validation; test stays closed.

Its scores on several folds say what a model should reach, and how much scores vary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import kind_of, numbers
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.components.metrics._base import Metric
from ray_pipeline.data.rows import KEY, LABEL, PART, TIME
from ray_pipeline.hashing import hash_values
from ray_pipeline.start.draft import Draft
from ray_pipeline.values import Vector

FOLDS, FOLD_SEED = 3, 0xBA5E
MAX_ROWS, MAX_CELLS = 20_000, 1_000_000
MAX_VALUES = 200
"""Of a category; the other values count as missing (scikit-learn takes at most 255)."""
ROUNDS, ROUNDS_MANY_CLASSES, MANY_CLASSES = 80, 30, 5
MIN_ROWS = 20
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """The baseline on one fold."""

    value: float
    constant: float
    """The value of the average label."""
    error: float
    """The standard error of the value."""
    rows: int


def score_baseline(draft: Draft, rows: pa.Table) -> list[FoldScore]:
    """The baseline on each fold of train and validation.

    Parameters
    ----------
    draft
        Says the features, the task, the metric and what makes a fold: time, group, or the key's hash.
    rows
        Sampled rows with the role columns and every feature.
    """
    rows = rows.filter(pc.less(rows[PART], 2))
    most = min(MAX_ROWS, MAX_CELLS // (len(draft.features) * (1 + len(draft.label.counts) // MANY_CLASSES)))
    if rows.num_rows > most:
        rows = rows.take(pa.array(np.sort(np.random.default_rng(0).choice(rows.num_rows, most, replace=False))))
    metric = metric_of(draft.metric.value)
    label, classes = _label(rows, draft)
    matrix, categorical = _matrix(rows, draft.features)
    scores, cluster = [], _cluster(rows, draft)
    for train, held in _folds(rows, draft):
        known = np.isin(label[held], label[train])
        held = held[known] if draft.label.task == "multiclass" else held
        if min(len(train), len(held)) < MIN_ROWS or len(np.unique(label[train])) < 2 or len(np.unique(label[held])) < 2:
            continue
        score = _predict(matrix, label, categorical, (train, held), draft, classes)
        constant = _constant(label[train], len(held), draft, classes)
        scores.append(_score(metric, label[held], score, constant, cluster[held]))
    return [one for one in scores if np.isfinite([one.value, one.constant, one.error]).all()]


def _folds(rows: pa.Table, draft: Draft) -> Iterator[tuple[Rows, Rows]]:
    """Training rows and held-out rows; by time, the held-out rows are later."""
    by, group = draft.split.by, draft.split.keys.get("group") or draft.split.cluster
    part = rows[PART].to_numpy()
    if by == "column" and (part == 1).sum() >= MIN_ROWS:
        yield np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    elif by == "time":
        order = np.argsort(rows[TIME].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy(), kind="stable")
        blocks = np.array_split(order, FOLDS + 2)
        for last in range(2, FOLDS + 2):
            yield np.concatenate(blocks[:last]), blocks[last]
    else:
        fold = hash_values(rows[group or KEY], FOLD_SEED) % np.uint64(FOLDS)
        for number in range(FOLDS):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def _label(rows: pa.Table, draft: Draft) -> tuple[Vector, int]:
    """The label as a number or the index of a class, and the number of classes."""
    if draft.label.task != "multiclass":
        return rows[LABEL].cast(pa.float64()).to_numpy(), 2
    names = rows[LABEL].cast(pa.string()).combine_chunks().dictionary_encode()
    return names.indices.to_numpy().astype(np.float64), len(names.dictionary)


def _matrix(rows: pa.Table, features: list[str]) -> tuple[Vector, NDArray[np.bool_]]:
    """The features as numbers, shape (rows, features), NaN where missing; and which of them are categories."""
    columns, categorical = [], []
    for name in features:
        values = rows[name]
        is_category = kind_of(values.type) == "category"
        categorical.append(is_category)
        if is_category:
            counted = pc.value_counts(values.cast(pa.string()).combine_chunks().drop_null())
            order = pc.sort_indices(counted.field("counts"), sort_keys=[("", "descending")])[:MAX_VALUES]
            position = pc.index_in(values.cast(pa.string()), counted.field("values").take(order), skip_nulls=True)
            columns.append(position.cast(pa.float64()).to_numpy())
        else:
            columns.append(numbers(values))
    return np.column_stack(columns), np.array(categorical)


def _cluster(rows: pa.Table, draft: Draft) -> NDArray[np.uint64]:
    """What rows are independent of: the group, the day, or each row alone; shape (rows,)."""
    if group := draft.split.keys.get("group") or draft.split.cluster:
        return hash_values(rows[group])
    if draft.split.by == "time":
        days = rows[TIME].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy() // 86_400_000_000
        return np.asarray(days, np.uint64)
    return np.arange(rows.num_rows, dtype=np.uint64)


def _predict(
    matrix: Vector, label: Vector, categorical: NDArray[np.bool_], fold: tuple[Rows, Rows], draft: Draft, classes: int
) -> Vector:
    """The scores of the held-out rows; shape (rows,), or (rows, classes) for multiclass."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    train, held = fold
    kind = HistGradientBoostingRegressor if draft.label.task == "regression" else HistGradientBoostingClassifier
    rounds = ROUNDS_MANY_CLASSES if classes > MANY_CLASSES else ROUNDS
    model = kind(max_iter=rounds, categorical_features=categorical, early_stopping=False, random_state=0)
    with threadpool_limits(1):  # on two busy cores two OpenMP threads took 20 times as long as one
        model.fit(matrix[train], label[train])
    if draft.label.task == "regression":
        return np.asarray(model.predict(matrix[held]))
    probabilities = model.predict_proba(matrix[held])
    if draft.label.task == "binary":
        return np.asarray(probabilities[:, 1])
    return _spread(probabilities, model.classes_.astype(int), classes)


def _constant(label: Vector, rows: int, draft: Draft, classes: int) -> Vector:
    """The scores of a model that says the same of every row."""
    if draft.label.task != "multiclass":
        return np.full(rows, label.mean())
    share = np.bincount(label.astype(int), minlength=classes) / len(label)
    return np.tile(np.maximum(share, 1e-15), (rows, 1))


def _spread(probabilities: Vector, known: NDArray[np.intp], classes: int) -> Vector:
    """Probabilities of the known classes, as columns of all classes."""
    spread = np.full((len(probabilities), classes), 1e-15)
    spread[:, known] = probabilities
    return spread


def _score(metric: Metric, label: Vector, score: Vector, constant: Vector, cluster: NDArray[np.uint64]) -> FoldScore:
    """The values of both, with the standard error over clusters."""
    weight = np.ones(len(label))
    influence = metric.influence(label, score, weight)
    total = np.bincount(np.unique(cluster, return_inverse=True)[1], influence)
    return FoldScore(
        value=metric(label, score, weight),
        constant=metric(label, constant, weight),
        error=float(np.sqrt((total**2).sum())),
        rows=len(label),
    )
