"""From draws to intervals: percentiles, simultaneous for many groups, Wilson for shares; `stages/linearise.py` needs no
draws.

Every interval allows for the number of clusters by Student's t: with few of them, quantiles of the normal are too near.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.values import Vector

NAN = float("nan")
MIN_DEFINED = 0.9  # a draw in which a metric is undefined is left out, but not more than a tenth of them
PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A value and its two-sided bounds; NaN where undefined."""

    value: float
    low: float
    high: float


def reach(clusters: ArrayLike, confidence: float) -> Vector:
    """How many standard errors the bounds lie from the value: Student's t, the variance's bias included; NaN below 2
    clusters."""
    from scipy.special import stdtrit

    free = np.asarray(clusters, np.float64) - 1
    known = np.where(free >= 1, free, NAN)
    return np.asarray(stdtrit(known, (1 + confidence) / 2) * np.sqrt((known + 1) / known))


def percentile(value: float, draws: Vector, clusters: int, confidence: float) -> Interval:
    """The interval between two quantiles of the draws, moved outwards as `reach` asks (expanded percentile; Hesterberg,
    2015)."""
    defined = draws[np.isfinite(draws)]
    if clusters < 2 or not np.isfinite(value) or len(defined) < MIN_DEFINED * len(draws):
        return Interval(value, NAN, NAN)
    tail = NormalDist().cdf(-float(reach(clusters, confidence)))
    # Order statistic k of B lies at k / (B + 1) on average; numpy's default takes more off both tails (0.6 % at 300
    # draws).
    low, high = np.quantile(defined, [tail, 1 - tail], method="weibull")
    return Interval(value, float(low), float(high))


def simultaneous(values: Vector, draws: Numbers, floor: Vector, clusters: int, confidence: float) -> Vector:
    """Half-widths, shape (groups,), such that all intervals `values +- half` hold together with the given confidence.

    Args:
        values: of each group, shape (groups,).
        draws: shape (draws, groups).
        floor: the least standard error of each group, for groups whose draws do not vary.
        clusters: independent observations behind the draws.
        confidence: of all intervals together.
    """
    moved = draws - values
    error = np.nanstd(moved, axis=0)
    error = np.where(error > 0, error, floor)
    return np.asarray(error * _largest(np.abs(_ratio(moved, error)).max(axis=1), clusters, confidence))


def largest_gap(values: Vector, draws: Numbers, floor: Vector, clusters: int, confidence: float) -> Interval:
    """The largest difference between two groups, with an interval that holds for all pairs at once; arguments as
    `simultaneous`."""
    if len(values) < 2 or clusters < 2 or not np.isfinite(values).all():
        return Interval(NAN, NAN, NAN)
    moved = draws - values
    covariance = np.atleast_2d(np.cov(np.nan_to_num(moved), rowvar=False))
    variance = np.diag(covariance) + np.where(np.diag(covariance) > 0, 0.0, floor**2)
    one, other = np.triu_indices(len(values), k=1)
    error = np.sqrt(np.maximum(variance[one] + variance[other] - 2 * covariance[one, other], 0.0))  # (pairs,)
    largest = np.empty(len(draws))
    step = max(1, PAIRS_AT_ONCE // len(one))
    for start in range(0, len(draws), step):
        some = moved[start : start + step]
        largest[start : start + step] = np.abs(_ratio(some[:, one] - some[:, other], error)).max(axis=1)
    gap, half = np.abs(values[one] - values[other]), error * _largest(largest, clusters, confidence)
    return Interval(float(gap.max()), float(max((gap - half).max(), 0.0)), float((gap + half).max()))


def _largest(largest: Vector, clusters: int, confidence: float) -> float:
    defined = largest[np.isfinite(largest)]
    if len(defined) < MIN_DEFINED * len(largest):
        return NAN
    return (
        float(np.quantile(defined, confidence, method="weibull"))
        * float(reach(clusters, confidence))
        / NormalDist().inv_cdf((1 + confidence) / 2)
    )


def _ratio(moved: Numbers, error: Vector) -> Numbers:
    return np.divide(moved, error, out=np.zeros_like(moved), where=error > 0)


def wilson(value: Vector, size: Vector, far: Vector) -> tuple[Vector, Vector]:
    """The bounds of Wilson's score interval (1927) of shares seen in `size` independent observations."""
    shrink = 1 + far**2 / size
    centre = (value + far**2 / (2 * size)) / shrink
    half = far * np.sqrt(value * (1 - value) / size + far**2 / (4 * size**2)) / shrink
    return np.clip(centre - half, 0.0, value), np.clip(centre + half, value, 1.0)
