"""A quick model of the sample: how well all columns together predict the label, and how well they do without some.

Small boosted trees on one thread: a fit takes at most 0.3 s, and the same sample gives the same answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._columns import kind_of, numbers
from ray_pipeline.data.rows import LABEL
from ray_pipeline.values import Matrix, Task, Vector

MIN_ROWS, MIN_CLASS_ROWS = 150, 20
MIN_ROUNDS, MAX_ROUNDS, MAX_TREES = 6, 40, 100
OPTIONS: Mapping[str, Any] = {"max_depth": 4, "eta": 0.3, "max_bin": 64, "nthread": 1, "seed": 7, "verbosity": 0}
OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
MAX_VALUES = 60
"""Categories that have a code each, the most common ones; all others share one."""
WORK = 15_000_000
"""Rows x columns x trees of one fit, at most: fewer rounds, then fewer rows."""
CELLS = 10_000_000
"""Values that a probe takes of rows that may be seen."""
HELD_OUT = 1 / 3
MAX_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a model of some columns reaches on rows that it has not seen."""

    skill: float
    """The share of the label's variance that it explains: R², or the Brier skill score of the classes."""
    gains: Mapping[str, float]
    """The share of each column in the gain of all splits; columns without a split are left out."""
    errors: Vector
    """The squared error of each unseen row, summed over the classes; shape (unseen rows,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Rows as numbers, ready to fit models of any of their columns."""

    names: tuple[str, ...]
    matrix: Matrix
    """Numbers and codes of categories, NaN where missing; shape (rows, columns)."""
    is_category: NDArray[np.bool_]
    """Shape (columns,)."""
    target: Vector
    """0 or 1, the class from 0 on, or the rank of a number among all in [0, 1]; shape (rows,)."""
    task: Task
    unseen: NDArray[np.bool_]
    """The rows that a model does not see, and on which it is measured; shape (rows,)."""

    @classmethod
    def of(cls, rows: pa.Table, names: Sequence[str], task: Task, *, unseen: pa.Table | None = None) -> Self | None:
        """The probe of a sample.

        Parameters
        ----------
        rows
            Rows with the label and the columns.
        names
            The columns to use, at least one.
        task
            What the label is.
        unseen
            Rows of the same columns that no model sees; a fixed third of `rows` unless given.

        Returns
        -------
        Probe or None
            None where there are too few rows, or too few of a class of two.
        """
        rows = rows.slice(0, max(CELLS // max(len(names), 1), MIN_ROWS))
        hidden = np.random.default_rng(OPTIONS["seed"]).random(len(rows)) < HELD_OUT
        if unseen is not None:
            hidden = np.arange(len(rows) + len(unseen)) >= len(rows)
            rows = pa.concat_tables([rows, unseen], promote_options="permissive")
        label = rows[LABEL]
        if task == "multiclass":
            target = label.cast(pa.large_string()).combine_chunks().dictionary_encode().indices.to_numpy().astype(float)
        else:
            target = label.cast(pa.float64()).to_numpy()
        if task == "regression":
            target = np.searchsorted(np.sort(target), target) / max(len(target), 1)
        counts = np.unique(target, return_counts=True)[1]
        if not names or len(target) < MIN_ROWS or len(counts) < 2:
            return None
        if task == "binary" and counts.min() < MIN_CLASS_ROWS:
            return None
        return cls(
            names=tuple(names),
            matrix=np.stack([_as_floats(rows[name]) for name in names], axis=1),
            is_category=np.array([kind_of(rows.schema.field(name).type) == "category" for name in names]),
            target=target,
            task=task,
            unseen=hidden,
        )

    def fit(self, names: Iterable[str], *, unseen: NDArray[np.bool_] | None = None) -> Fit:
        """Fit a model of some columns on some rows, and measure it on others.

        Parameters
        ----------
        names
            The columns; without any, the model knows the mean only.
        unseen
            Other rows than `self.unseen` that the model does not see; shape (rows,).
        """
        used = [self.names.index(name) for name in names]
        unseen = self.unseen if unseen is None else unseen
        classes = int(self.target.max()) + 1 if self.task == "multiclass" else 1
        seen, width = np.flatnonzero(~unseen), max(len(used), 1) * classes
        most = min(MAX_ROUNDS, MAX_TREES // classes)
        rounds = max(min(WORK // (max(len(seen), 1) * width), most), MIN_ROUNDS)
        seen = seen[: max(WORK // (width * rounds), MIN_ROWS)]
        known = np.eye(classes)[self.target.astype(int)] if classes > 1 else self.target[:, None]
        score = np.tile(known[seen].mean(0), (int(unseen.sum()), 1))
        spread, gains = ((known[unseen] - score) ** 2).sum(1), dict[str, float]()
        if used:
            score, gains = self._boost(used, seen, unseen, rounds)
        errors = ((known[unseen] - score.reshape(len(spread), -1)) ** 2).sum(1)
        return Fit(skill=1 - float(errors.sum() / max(spread.sum(), 1e-12)), gains=gains, errors=errors)

    def only_missing(self, name: str) -> Self:
        """The same rows, with a column of which a model sees only whether its value is missing."""
        column, matrix = self.names.index(name), self.matrix.copy()
        matrix[:, column] = np.isnan(matrix[:, column])
        return replace(
            self, matrix=matrix, is_category=np.where(np.arange(len(self.names)) == column, False, self.is_category)
        )

    def _boost(
        self, used: list[int], seen: NDArray[np.intp], unseen: NDArray[np.bool_], rounds: int
    ) -> tuple[Vector, dict[str, float]]:
        """The scores of the unseen rows, and the share of each column in the gain."""
        import xgboost

        types = ["c" if self.is_category[column] else "float" for column in used]

        def matrix(rows: NDArray[Any], label: Vector | None = None) -> Any:
            values = self.matrix[rows][:, used]
            return xgboost.DMatrix(values, label, feature_types=types, enable_categorical=True, nthread=1)

        several = {"num_class": int(self.target.max()) + 1} if self.task == "multiclass" else {}
        options = {**OPTIONS, **several, "objective": OBJECTIVES[self.task]}
        model = xgboost.train(options, matrix(seen, self.target[seen]), rounds)
        total = {
            self.names[used[int(name.removeprefix("f"))]]: float(np.sum(gain))
            for name, gain in model.get_score(importance_type="total_gain").items()
        }
        whole = sum(total.values())
        return model.predict(matrix(unseen)), {name: gain / whole for name, gain in total.items()}


def _as_floats(values: pa.ChunkedArray) -> Matrix:
    """Numbers, or codes of categories by falling frequency; NaN where missing; shape (rows,)."""
    if kind_of(values.type) != "category":
        number = numbers(values)
        number -= (
            np.nanmin(number) if np.isfinite(number).any() else 0.0
        )  # large numbers that are near keep their order
        return np.minimum(number, MAX_FLOAT32).astype(np.float32)
    coded = values.cast(pa.large_string()).combine_chunks().dictionary_encode()
    known, code = coded.is_valid().to_numpy(zero_copy_only=False), pc.fill_null(coded.indices, 0).to_numpy()
    rows = np.bincount(code[known], minlength=max(len(coded.dictionary), 1))
    rank = np.argsort(np.argsort(-rows, kind="stable"), kind="stable")
    return np.where(known, np.minimum(rank[code], MAX_VALUES), np.nan).astype(np.float32)
