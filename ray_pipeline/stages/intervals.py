"""From draws or influences to intervals: percentiles, linearised variance, Wilson for shares, simultaneous for many groups.

Every interval allows for the number of clusters by Student's t: with few of them, quantiles of the normal are too near.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ray_pipeline.metrics._base import HALF, Metric, Numbers, ShareMetric
from ray_pipeline.values import Predictions, Vector

NAN = float("nan")
LEAST_DEFINED = 0.9  # a draw in which a metric is undefined is left out, but not more than a tenth of them
PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A value and its two-sided bounds; NaN where undefined."""

    value: float
    low: float
    high: float


def reach(clusters: int, confidence: float) -> float:
    """How many standard errors the bounds lie from the value: Student's t, the variance's bias included; NaN below 2 clusters."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    if clusters < 2:
        return NAN
    return float(stdtrit(clusters - 1, (1 + confidence) / 2) * np.sqrt(clusters / (clusters - 1)))


def percentile(value: float, draws: Vector, clusters: int, confidence: float) -> Interval:
    """The interval between two quantiles of the draws, moved outwards as `reach` asks (expanded percentile; Hesterberg, 2015)."""
    defined = draws[np.isfinite(draws)]
    if clusters < 2 or not np.isfinite(value) or len(defined) < LEAST_DEFINED * len(draws):
        return Interval(value, NAN, NAN)
    tail = NormalDist().cdf(-reach(clusters, confidence))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def linearised(metric: Metric, rows: Predictions, threshold: float | None, confidence: float) -> Interval:
    """The interval from each cluster's influence on the value, without resampling; for a share Wilson's, which stays inside [0, 1]."""
    cut = HALF if threshold is None else threshold
    value = metric(rows.label, rows.score, rows.weight, cut)
    if not np.isfinite(value):
        return Interval(value, NAN, NAN)
    member = np.unique(rows.cluster, return_inverse=True)[1]
    whole = rows.weight  # what the value is a mean over
    if isinstance(metric, ShareMetric):
        whole = rows.weight * metric.fraction(metric.terms(rows.label, rows.score, cut))[1]
    of_cluster = np.bincount(member, whole)
    influence = np.bincount(member, metric.influence(rows.label, rows.score, rows.weight, cut))
    far, variance = reach(int(np.count_nonzero(of_cluster)), confidence), float(influence @ influence)
    if isinstance(metric, ShareMetric):
        # A share of 0 or 1 shows no variance: it is then judged by the number of independent observations.
        none = value in (0.0, 1.0) or variance == 0
        return _wilson(value, float(of_cluster.sum() ** 2 / (of_cluster @ of_cluster)) if none else value * (1 - value) / variance, far)
    half = far * float(np.sqrt(variance))
    low, high = metric.range
    return Interval(value, max(value - half, low), min(value + half, high)) if np.isfinite(half) else Interval(value, NAN, NAN)


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
    """The largest difference between two groups, with an interval that holds for all pairs at once; arguments as `simultaneous`."""
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
    if len(defined) < LEAST_DEFINED * len(largest):
        return NAN
    return float(np.quantile(defined, confidence)) * reach(clusters, confidence) / NormalDist().inv_cdf((1 + confidence) / 2)


def _ratio(moved: Numbers, error: Vector) -> Numbers:
    return np.divide(moved, error, out=np.zeros_like(moved), where=error > 0)


def _wilson(value: float, size: float, far: float) -> Interval:
    """Wilson's score interval (1927) of a share seen in `size` independent observations."""
    if not np.isfinite(far):
        return Interval(value, NAN, NAN)
    shrink = 1 + far**2 / size
    centre = (value + far**2 / (2 * size)) / shrink
    half = far * np.sqrt(value * (1 - value) / size + far**2 / (4 * size**2)) / shrink
    return Interval(value, max(0.0, min(float(centre - half), value)), min(1.0, max(float(centre + half), value)))
