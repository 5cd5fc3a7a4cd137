"""A category as the mean label of the training rows that have it (Micci-Barreca, 2001)."""

from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.components.column_encodings._base import FOLDS, ColumnSummary, Encoding, Fold, Options, by_frequency
from ray_pipeline.components.column_encodings._columns import MISSING, Kind, codes
from ray_pipeline.components.column_encodings.ordinal import filled, stands_for
from ray_pipeline.values import Matrix, Task

SMOOTH = 10.0
"""This many rows with the overall mean are added to each value's rows: few rows say little."""


class Target(Encoding):
    """The smoothed mean of the label.

    A training row is encoded by the means of the folds that it is not in, so that its own label has no effect. An
    unseen or rare value becomes the overall mean. A missing one becomes NaN, or the overall mean for families that take
    no NaN.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("category",)
    takes: ClassVar[tuple[str, ...]] = ("impute", "rare")
    tasks: ClassVar[tuple[Task, ...]] = ("binary", "regression")
    by_label: ClassVar[bool] = True

    categories: tuple[str, ...] = ()
    means: tuple[tuple[float, ...], ...] = ()
    """For each category: the mean of all training rows, then of all rows except those of each fold."""
    overall: tuple[float, ...] = ()
    finite: bool = False
    missing: str | None = None

    @classmethod
    def fit(cls, name: str, summary: ColumnSummary, options: Options) -> Self:
        """The means, from rows and sums of labels by value and fold."""
        categories = by_frequency(summary.counts, options.rare)
        all_values = (
            np.sum([_without(one) for one in summary.outcomes.values()], axis=0)
            if summary.outcomes
            else np.ones((2, FOLDS + 1))
        )
        overall = all_values[1] / np.maximum(all_values[0], 1)
        means = []
        for value in categories:
            rows, total = _without(summary.outcomes[value])
            means.append(tuple(((total + SMOOTH * overall) / (rows + SMOOTH)).tolist()))
        return cls(
            name=name,
            kind=summary.kind,
            categories=categories,
            means=tuple(means),
            overall=tuple(overall.tolist()),
            finite=options.finite,
            missing=stands_for(options, categories),
        )

    def encode(self, values: pa.ChunkedArray, fold: Fold | None) -> Matrix:
        """One column; rows without folds are new ones."""
        code = codes(filled(values, self.missing), self.categories)
        table = np.array([*self.means, self.overall], np.float32).reshape(-1, FOLDS + 1)
        mean: Matrix = table[np.where(code < 0, -1, code), 0 if fold is None else fold.astype(np.int64) + 1]
        if not self.finite:
            mean[code == MISSING] = np.nan
        return mean[:, None]


def _without(outcomes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows and sums over all folds, then over all folds except each one; shape (2, 1 + FOLDS)."""
    total = outcomes.sum(axis=1, keepdims=True)
    return np.concatenate([total, total - outcomes], axis=1)
