"""Calibration of prediction intervals and sets, by split conformal prediction.

A conformity score says how badly a label fits a prediction. Its quantile over rows that the model was not trained on
gives the regions: a new row of the same distribution is inside with at least the wanted probability (Vovk, Gammerman &
Shafer, 2005). Numbers: the absolute residual (Lei et al., 2018), or for a model of quantiles the distance from their
interval (Romano, Patterson & Candès, 2019). Classes: 1 - the probability of the label's class (LAC; Sadinle, Lei &
Wasserman, 2019), which gives the smallest sets on average.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from ray_pipeline.errors import DataError, Problem
from ray_pipeline.prediction_regions import Regions
from ray_pipeline.values import Vector

SLACK = 1e-12
"""Relative: 100 x 0.55 is a little more than 55 as a float, but takes no row more."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How regions follow from predictions; a bundle holds it as JSON."""

    coverage: float
    """The share of new rows whose label should be inside."""
    quantile: float
    """Of the conformity scores of the calibration rows."""
    by_quantiles: bool
    """Whether the model predicts a lower and an upper quantile."""
    rows: int
    """Calibration rows."""
    crossed: int
    """How many of them had these quantiles out of order."""

    @classmethod
    def fit(cls, label: Vector, score: Vector, weight: Vector, coverage: float, ends: Vector | None = None) -> Self:
        """Calibrate on rows that the model was not trained on.

        Parameters
        ----------
        label
            A number, or the index of a class; shape (n,).
        score
            A number, shape (n,); or the probability of each class, shape (n, classes).
        weight
            At least 0; shape (n,). See `conformal_quantile`.
        coverage
            The share of new rows whose label should be inside, in (0, 1).
        ends
            The lower and the upper quantile, shape (n, 2), from a model that predicts them.

        Raises
        ------
        DataError
            There are too few rows for that coverage.

        Examples
        --------
        >>> residuals = np.arange(1.0, 20.0)
        >>> Calibration.fit(residuals, np.zeros(19), np.ones(19), 0.9).quantile
        18.0
        """
        if ends is not None:
            low, high = np.sort(ends, axis=1).T
            conformity = np.maximum(low - label, label - high)
        elif score.ndim == 1:
            conformity = np.abs(label - score)
        else:
            conformity = 1 - score[np.arange(len(label)), label.astype(int)]
        return cls(
            coverage=coverage,
            quantile=conformal_quantile(conformity, weight, coverage),
            by_quantiles=ends is not None,
            rows=len(label),
            crossed=0 if ends is None else int((ends[:, 0] > ends[:, 1]).sum()),
        )

    def regions(self, score: Vector, ends: Vector | None = None) -> Regions:
        """Return the region of each row. For the parameters see `fit`.

        An interval always holds the score, and a set the most likely class. Quantiles out of order are sorted
        (Chernozhukov, Fernández-Val & Galichon, 2010).
        """
        if score.ndim == 2:
            members = 1 - score <= self.quantile
            members[np.arange(len(score)), score.argmax(1)] = True
            return Regions(values=members)
        low, high = (score, score) if ends is None else np.sort(ends, axis=1).T
        ends_ = np.minimum(low - self.quantile, score), np.maximum(high + self.quantile, score)
        return Regions(values=np.column_stack(ends_).astype(np.float64))

    def to_json(self) -> dict[str, Any]:
        """Return the fields, as a bundle holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        return cls(**fields)


def conformal_quantile(conformity: Vector, weight: Vector, coverage: float) -> float:
    """Return the least conformity score such that a new row is within with probability `coverage`.

    It is the ceil((n + 1) x coverage)-th smallest of n scores. Where rows have weights, each score is as likely as its
    weight (Tibshirani et al., 2019), and the new row is taken to weigh as much as the heaviest.

    Parameters
    ----------
    conformity
        Shape (n,); lower fits better.
    weight
        At least 0; shape (n,).
    coverage
        In (0, 1).

    Raises
    ------
    DataError
        n is too small: even the largest score does not suffice.

    Examples
    --------
    >>> conformal_quantile(np.arange(1.0, 10.0), np.ones(9), 0.9)
    9.0
    """
    order = np.argsort(conformity, kind="stable")
    up_to = np.cumsum(weight[order])
    needed = coverage * (up_to[-1] + weight.max()) if len(order) else math.inf
    place = int(np.searchsorted(up_to, needed * (1 - SLACK))) if len(order) else 0
    if place == len(order):
        raise _too_few(len(order), coverage)
    return float(conformity[order[place]])


def require_rows(rows: int, coverage: float) -> None:
    """Raise `DataError` unless so many rows of equal weight suffice for that coverage."""
    if rows < _least(coverage):
        raise _too_few(rows, coverage)


def _least(coverage: float) -> int:
    return math.ceil(coverage / (1 - coverage) * (1 - SLACK))


def _too_few(rows: int, coverage: float) -> DataError:
    found = f"{rows:,} validation rows are too few for a coverage of {coverage:g}"
    fix = f"give validation at least {_least(coverage):,} rows (more where weights differ), or lower the coverage"
    return DataError(Problem(key="intervals.coverage", stage="search", rows=rows, found=found, fix=fix))
