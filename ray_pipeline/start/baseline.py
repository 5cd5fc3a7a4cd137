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
from ray_pipeline.duration import DAY_US, STEP_US
from ray_pipeline.hashing import hash_values
from ray_pipeline.start.draft import Draft
from ray_pipeline.values import Task, Vector

FOLDS, FOLD_SEED = 3, 0xBA5E
MAX_ROWS, MAX_CELLS = 20_000, 1_000_000
MAX_VALUES = 200
"""Of a category; the other values count as missing (scikit-learn takes at most 255)."""
MIN_ROWS, FEW_ROWS = 20, 3_000
MANY_CLASSES = 5
MIN_SHARE = 1e-15
Indices = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """The baseline on one fold."""

    value: float
    constant: float
    """The value of the average label."""
    error: float
    """The standard error of the value."""
    rows: int


@dataclass(frozen=True, kw_only=True)
class Trees:
    """The size of a baseline."""

    rounds: int
    leaves: int


@dataclass(frozen=True, kw_only=True)
class Data:
    """Rows as scikit-learn takes them; there are n rows."""

    task: Task
    matrix: Vector
    """Shape (n, features), NaN where a value is missing."""
    categorical: NDArray[np.bool_]
    """Shape (features,)."""
    label: Vector
    """A number, or the index of a class; shape (n,)."""
    classes: int
    cluster: NDArray[np.uint64]
    """Rows of one cluster are not independent; shape (n,)."""

    @classmethod
    def of(cls, rows: pa.Table, draft: Draft) -> "Data":
        """The rows with their role columns and every feature of the draft."""
        columns, categorical = zip(*(_numbers(rows[name]) for name in draft.features), strict=True)
        label, classes = rows[LABEL], 2
        if draft.label.task == "multiclass":
            names = label.cast(pa.string()).combine_chunks().dictionary_encode()
            label, classes = names.indices, len(names.dictionary)
        return cls(
            task=draft.label.task,
            matrix=np.column_stack(columns),
            categorical=np.array(categorical),
            label=label.cast(pa.float64()).to_numpy(),
            classes=classes,
            cluster=_cluster(rows, draft),
        )


def score_baseline(draft: Draft, rows: pa.Table) -> list[FoldScore]:
    """The better of two sizes of trees on each fold of train and validation.

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
    data, metric = Data.of(rows, draft), metric_of(draft.metric.value)
    folds = [fold for fold in _folds(rows, draft) if _is_usable(data, *fold)]
    sizes = [Trees(rounds=30 if data.classes > MANY_CLASSES else 80, leaves=31)]
    if rows.num_rows < FEW_ROWS:
        sizes.append(Trees(rounds=30, leaves=4))
    scored = [[_score(metric, data, trees, *fold) for fold in folds] for trees in sizes]
    best = max(scored, key=lambda found: np.mean([metric.sign * one.value for one in found]) if found else 0.0)
    return [one for one in best if np.isfinite([one.value, one.constant, one.error]).all()]


def _folds(rows: pa.Table, draft: Draft) -> Iterator[tuple[Indices, Indices]]:
    """Training rows and held-out rows; by time, the held-out rows are later."""
    by, group = draft.split.by, draft.split.keys.get("group") or draft.split.cluster
    part = rows[PART].to_numpy()
    if by == "column" and (part == 1).sum() >= MIN_ROWS:
        yield np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    elif by == "time":
        blocks = np.array_split(np.argsort(_micros(rows), kind="stable"), FOLDS + 2)
        for last in range(2, FOLDS + 2):
            yield np.concatenate(blocks[:last]), blocks[last]
    else:
        fold = hash_values(rows[group or KEY], FOLD_SEED) % np.uint64(FOLDS)
        for number in range(FOLDS):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def _is_usable(data: Data, train: Indices, held: Indices) -> bool:
    """Whether both have enough rows, and two classes or numbers."""
    learned = all(len(one) >= MIN_ROWS and len(np.unique(data.label[one])) >= 2 for one in (train, held))
    return learned and not np.isnan(data.matrix[train]).all()


def _numbers(values: pa.ChunkedArray) -> tuple[Vector, bool]:
    """A feature as numbers, shape (rows,), and whether they are codes of categories."""
    if kind_of(values.type) != "category":
        return numbers(values), False
    counted = pc.value_counts(values.cast(pa.string()).combine_chunks().drop_null())
    order = pc.sort_indices(counted.field("counts"), sort_keys=[("", "descending")])[:MAX_VALUES]
    position = pc.index_in(values.cast(pa.string()), counted.field("values").take(order), skip_nulls=True)
    return position.cast(pa.float64()).to_numpy(), True


def _cluster(rows: pa.Table, draft: Draft) -> NDArray[np.uint64]:
    """The group, the day or the step of each row, or each row alone; shape (rows,)."""
    if group := draft.split.keys.get("group") or draft.split.cluster:
        return hash_values(rows[group])
    if draft.split.by == "time":
        return np.asarray(_micros(rows) // (STEP_US if draft.labels.steps else DAY_US), np.int64).view(np.uint64)
    return np.arange(rows.num_rows, dtype=np.uint64)


def _micros(rows: pa.Table) -> NDArray[np.int64]:
    """The time of each row in microseconds since 1970; shape (rows,)."""
    tz = getattr(rows[TIME].type, "tz", None)
    return np.asarray(rows[TIME].cast(pa.timestamp("us", tz), safe=False).cast(pa.int64()).to_numpy())


def _predict(data: Data, trees: Trees, train: Indices, held: Indices) -> Vector:
    """The scores of the held-out rows; shape (rows,), or (rows, classes) for multiclass."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    # scikit-learn 1.9 fails on a column without a value.
    known = np.flatnonzero(~np.isnan(data.matrix[train]).all(axis=0))
    kind = HistGradientBoostingRegressor if data.task == "regression" else HistGradientBoostingClassifier
    model = kind(
        max_iter=trees.rounds,
        max_leaf_nodes=trees.leaves,
        categorical_features=data.categorical[known],
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(1):  # on two busy cores two OpenMP threads took 20 times as long as one
        model.fit(data.matrix[np.ix_(train, known)], data.label[train])
    if data.task == "regression":
        return np.asarray(model.predict(data.matrix[np.ix_(held, known)]))
    probabilities = model.predict_proba(data.matrix[np.ix_(held, known)])
    if data.task == "binary":
        return np.asarray(probabilities[:, 1])
    spread = np.full((len(held), data.classes), MIN_SHARE)
    spread[:, model.classes_.astype(int)] = probabilities
    return spread


def _constant(data: Data, train: Indices, rows: int) -> Vector:
    """The scores of a model that says the same of every row."""
    if data.task != "multiclass":
        return np.full(rows, data.label[train].mean())
    share = np.bincount(data.label[train].astype(int), minlength=data.classes) / len(train)
    return np.tile(np.maximum(share, MIN_SHARE), (rows, 1))


def _score(metric: Metric, data: Data, trees: Trees, train: Indices, held: Indices) -> FoldScore:
    """The values of the trees and of the constant, with the standard error over clusters.

    Held-out rows of a class that train lacks do not count: no model can know it.
    """
    held = held if data.task == "regression" else held[np.isin(data.label[held], data.label[train])]
    label, weight = data.label[held], np.ones(len(held))
    score = _predict(data, trees, train, held)
    moved = np.bincount(np.unique(data.cluster[held], return_inverse=True)[1], metric.influence(label, score, weight))
    return FoldScore(
        value=metric(label, score, weight),
        constant=metric(label, _constant(data, train, len(held)), weight),
        error=float(np.sqrt((moved**2).sum())),
        rows=len(held),
    )
