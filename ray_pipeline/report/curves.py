"""The points of the pictures, from scored rows: numpy arrays in, few points out, whatever the number of rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
MAX_POINTS = 240


def roc(label: Points, score: Points, weight: Points) -> tuple[Points, Points]:
    """False and true positive rates from (0, 0) to (1, 1), one pair for each distinct score, thinned; empty with one
    class only."""
    positives, negatives = _cumulated(label, score, weight)
    if not len(positives) or positives[-1] <= 0 or negatives[-1] <= 0:
        return np.array([]), np.array([])
    return _thinned(np.r_[0, negatives / negatives[-1]], np.r_[0, positives / positives[-1]])


def precision_recall(label: Points, score: Points, weight: Points) -> tuple[Points, Points]:
    """Recall and precision from the highest score to the lowest, thinned; empty with one class only."""
    positives, negatives = _cumulated(label, score, weight)
    if not len(positives) or positives[-1] <= 0 or negatives[-1] <= 0:
        return np.array([]), np.array([])
    chosen = positives + negatives
    kept = chosen > 0
    return _thinned(positives[kept] / positives[-1], positives[kept] / chosen[kept])


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability curve: mean score, observed rate and its 95 % Wilson interval."""

    score: float
    rate: float
    low: float
    high: float
    rows: int


def reliability(label: Points, score: Points, weight: Points, bins: int = 10) -> list[Bin]:
    """Observed rate against mean score in bins of equally many rows; rows with equal scores are never parted."""
    order = np.argsort(score, kind="stable")
    label, score, weight = label[order], score[order], weight[order]
    if not len(score):
        return []
    cuts = np.unique(np.searchsorted(score, np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1]), side="right"))
    found = []
    for rows in np.split(np.arange(len(score)), cuts):
        total = weight[rows].sum()
        if not len(rows) or total <= 0:
            continue
        rate = float(weight[rows] @ label[rows] / total)
        low, high = _wilson(rate, float(total**2 / (weight[rows] ** 2).sum()))
        found.append(Bin(float(weight[rows] @ score[rows] / total), rate, low, high, len(rows)))
    return found


def confusion(label: NDArray[np.int64], decision: NDArray[np.int64], weight: Points, classes: int) -> Points:
    """Weight of the rows of each class (first axis) by decision (second axis); shape (classes, classes)."""
    cells = np.bincount(label * classes + decision, weights=weight, minlength=classes * classes)
    return cells.astype(np.float64).reshape(classes, classes)


def density(across: Points, up: Points, low: float, high: float, cells: int = 36) -> Points:
    """Rows in each cell of a square grid over [low, high] in both directions; shape (across, up)."""
    edges = np.linspace(low, high, cells + 1)
    return np.histogram2d(np.clip(across, low, high), np.clip(up, low, high), bins=(edges, edges))[0]


def _cumulated(label: Points, score: Points, weight: Points) -> tuple[Points, Points]:
    """Weight of positive and of negative rows at or above each distinct score, highest score first."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)  # the last row of each distinct score
    label, weight = label[order], weight[order]
    return np.cumsum(weight * label)[ends], np.cumsum(weight * (1 - label))[ends]


def _thinned(x: Points, y: Points) -> tuple[Points, Points]:
    """At most MOST_POINTS points, even along the length of the curve, ends kept."""
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
