"""Intervals from bootstrap draws: percentiles, simultaneous intervals for many groups; and Wilson's for shares.

Every interval uses Student's t for the number of clusters: with few of them, normal quantiles are too narrow.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from ray_pipeline.components.metrics._base import Numbers
from ray_pipeline.values import Vector

NAN = float("nan")
MIN_DEFINED = 0.9
"""Draws in which a metric is undefined are left out; there is no interval where more than a tenth of them are."""
PAIRS_PER_CHUNK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A value and its two-sided bounds; NaN where undefined."""

    value: float
    low: float
    high: float


def reach(clusters: ArrayLike, confidence: float) -> Vector:
    """Return how many standard errors the bounds are from the value.

    It is the quantile of Student's t, corrected for the bias of the variance; NaN for less than 2 clusters.
    """
    from scipy.special import stdtrit

    freedom = np.asarray(clusters, np.float64) - 1
    freedom = np.where(freedom >= 1, freedom, NAN)
    return np.asarray(stdtrit(freedom, (1 + confidence) / 2) * np.sqrt((freedom + 1) / freedom))


def percentile(value: float, draws: Vector, clusters: int, confidence: float) -> Interval:
    """Return the expanded percentile interval (Hesterberg, 2015): quantiles of the draws, as wide as `reach` asks.

    It contains the value.

    Parameters
    ----------
    value
        The metric on the rows themselves.
    draws
        The metric in each draw, shape (draws,).
    clusters
        The number of independent observations.
    confidence
        The confidence of the interval, in (0, 1).
    """
    defined = draws[np.isfinite(draws)]
    if clusters < 2 or not np.isfinite(value) or len(defined) < MIN_DEFINED * len(draws):
        return Interval(value, NAN, NAN)
    tail = NormalDist().cdf(-float(reach(clusters, confidence)))
    # Order statistic k of B is at k / (B + 1) on average; numpy's default cuts more off both tails (0.6 % of 300).
    low, high = np.quantile(defined, [tail, 1 - tail], method="weibull")
    # Draws can be biased: balanced accuracy leaves a class out of which no row is drawn, as scikit-learn does.
    return Interval(value, min(float(low), value), max(float(high), value))


def simultaneous(values: Vector, draws: Numbers, floor: Vector, clusters: int, confidence: float) -> Vector:
    """Return half-widths, shape (groups,), such that all intervals `values ± half` hold together.

    Parameters
    ----------
    values
        The metric in each group, shape (groups,).
    draws
        The metric in each draw, shape (draws, groups).
    floor
        The standard error of groups whose draws do not vary, shape (groups,).
    clusters
        The number of independent observations behind the draws.
    confidence
        The confidence of all intervals together, in (0, 1).
    """
    deviations = draws - values
    error = np.nanstd(deviations, axis=0)
    error = np.where(error > 0, error, floor)
    return np.asarray(error * _critical(np.abs(_ratio(deviations, error)).max(axis=1), clusters, confidence))


def largest_gap(values: Vector, draws: Numbers, floor: Vector, clusters: int, confidence: float) -> Interval:
    """Return the largest difference between two groups, with an interval that holds for all pairs at once.

    The parameters are those of `simultaneous`.
    """
    if len(values) < 2 or clusters < 2 or not np.isfinite(values).all():
        return Interval(NAN, NAN, NAN)
    deviations = draws - values
    covariance = np.atleast_2d(np.cov(np.nan_to_num(deviations), rowvar=False))
    variance = np.diag(covariance) + np.where(np.diag(covariance) > 0, 0.0, floor**2)
    one, other = np.triu_indices(len(values), k=1)
    error = np.sqrt(np.maximum(variance[one] + variance[other] - 2 * covariance[one, other], 0.0))  # (pairs,)
    largest = np.empty(len(draws))
    step = max(1, PAIRS_PER_CHUNK // len(one))
    for start in range(0, len(draws), step):
        chunk = deviations[start : start + step]
        largest[start : start + step] = np.abs(_ratio(chunk[:, one] - chunk[:, other], error)).max(axis=1)
    gap, half = np.abs(values[one] - values[other]), error * _critical(largest, clusters, confidence)
    return Interval(float(gap.max()), float(max((gap - half).max(), 0.0)), float((gap + half).max()))


def _critical(largest: Vector, clusters: int, confidence: float) -> float:
    """The quantile of the largest standardized deviation in each draw, adjusted for the number of clusters."""
    defined = largest[np.isfinite(largest)]
    if len(defined) < MIN_DEFINED * len(largest):
        return NAN
    quantile = float(np.quantile(defined, confidence, method="weibull"))
    return quantile * float(reach(clusters, confidence)) / NormalDist().inv_cdf((1 + confidence) / 2)


def _ratio(deviations: Numbers, error: Vector) -> Numbers:
    return np.divide(deviations, error, out=np.zeros_like(deviations), where=error > 0)


def wilson(value: Vector, size: Vector, errors: Vector) -> tuple[Vector, Vector]:
    """Return the bounds of Wilson's score interval (1927) of shares.

    Parameters
    ----------
    value
        Shares in [0, 1], shape (groups,).
    size
        The number of independent observations behind each share, shape (groups,).
    errors
        How many standard errors the bounds are from the value, as `reach` returns it.
    """
    shrink = 1 + errors**2 / size
    centre = (value + errors**2 / (2 * size)) / shrink
    half = errors * np.sqrt(value * (1 - value) / size + errors**2 / (4 * size**2)) / shrink
    return np.clip(centre - half, 0.0, value), np.clip(centre + half, value, 1.0)
