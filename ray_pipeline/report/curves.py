"""The points of the report's pictures: scored rows in, few points out, whatever the number of rows.

Labels are 0 or 1, scores any numbers, weights at least 0; each of shape (n,).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
MAX_POINTS = 240


def roc(label: Points, score: Points, weight: Points) -> tuple[Points, Points]:
    """Return false and true positive rates from (0, 0) to (1, 1), thinned; empty without both classes."""
    if not _has_curve(label, score, weight):
        return np.empty(0), np.empty(0)
    from sklearn.metrics import roc_curve

    across, up, _ = roc_curve(label, score, sample_weight=weight, drop_intermediate=False)
    return _thinned(across, up)


def precision_recall(label: Points, score: Points, weight: Points) -> tuple[Points, Points]:
    """Return recall and precision from the highest score to the lowest, thinned; empty without both classes."""
    if not _has_curve(label, score, weight):
        return np.empty(0), np.empty(0)
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(label, score, sample_weight=weight)
    return _thinned(recall[-2::-1], precision[-2::-1])  # without the point (0, 1), which belongs to no score


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability curve: mean score, observed rate and its 95 % Wilson interval."""

    score: float
    rate: float
    low: float
    high: float
    rows: int


def reliability(label: Points, score: Points, weight: Points, bins: int = 10) -> list[Bin]:
    """Return the observed rate for bins of equally many rows; rows with equal scores are in one bin."""
    order = np.argsort(score, kind="stable")
    label, score, weight = label[order], score[order], weight[order]
    if not len(score):
        return []
    cuts = np.unique(np.searchsorted(score, np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1]), side="right"))
    filled = []
    for rows in np.split(np.arange(len(score)), cuts):
        if (total := weight[rows].sum()) > 0:
            rate, mean_score = (float(weight[rows] @ values[rows] / total) for values in (label, score))
            low, high = _wilson(rate, float(total**2 / (weight[rows] ** 2).sum()))
            filled.append(Bin(score=mean_score, rate=rate, low=low, high=high, rows=len(rows)))
    return filled


def confusion(label: NDArray[np.int64], decision: NDArray[np.int64], weight: Points, classes: int) -> Points:
    """Return the weight of the rows of each class (first axis) by decision (second axis); shape (classes, classes)."""
    cells = np.bincount(label * classes + decision, weights=weight, minlength=classes * classes)
    return cells.astype(np.float64).reshape(classes, classes)


def density(across: Points, up: Points, low: float, high: float, cells: int = 36) -> Points:
    """Count rows in each cell of a square grid over [low, high] in both directions; shape (cells, cells)."""
    edges = np.linspace(low, high, cells + 1)
    return np.histogram2d(np.clip(across, low, high), np.clip(up, low, high), bins=(edges, edges))[0]


def _has_curve(label: Points, score: Points, weight: Points) -> bool:
    return len(np.unique(label[weight > 0])) == 2 and bool(np.isfinite(score).all())


def _thinned(x: Points, y: Points) -> tuple[Points, Points]:
    """Keep about `MAX_POINTS` points, evenly along the length of the curve, and both ends."""
    if len(x) <= MAX_POINTS:
        return x, y
    along = np.r_[0, np.cumsum(np.hypot(np.diff(x), np.diff(y)))]
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MAX_POINTS)).clip(0, len(x) - 1))
    kept = np.unique(np.r_[0, kept, len(x) - 1])
    return x[kept], y[kept]


def _wilson(rate: float, rows: float, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson, 1927)."""
    middle = (rate + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * np.sqrt(rate * (1 - rate) / rows + z**2 / (4 * rows**2))
    return float(middle - half), float(middle + half)
