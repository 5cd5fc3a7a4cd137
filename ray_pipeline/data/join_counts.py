"""Counts of one join: how many label rows match, why the others do not, and how old the matched rows are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ray_pipeline.data.join_keys import Ints


@dataclass(frozen=True, kw_only=True)
class JoinCounts:
    """Label rows of one join by result, and the ages of the matched rows; blocks add with `+`."""

    rows: int = 0
    matched: int = 0
    too_old: int = 0
    not_yet_known: int = 0
    never_seen: int = 0
    null_key: int = 0
    ages: Mapping[float, int] = field(default_factory=dict)
    """Matched rows by age in seconds, rounded to three digits, so that the mapping stays small."""

    def __add__(self, other: "JoinCounts") -> "JoinCounts":
        ages = dict(self.ages)
        for age, count in other.ages.items():
            ages[age] = ages.get(age, 0) + count
        return JoinCounts(
            rows=self.rows + other.rows,
            matched=self.matched + other.matched,
            too_old=self.too_old + other.too_old,
            not_yet_known=self.not_yet_known + other.not_yet_known,
            never_seen=self.never_seen + other.never_seen,
            null_key=self.null_key + other.null_key,
            ages=ages,
        )

    def age(self, share: float) -> float | None:
        """A quantile of the age of the matched rows.

        Parameters
        ----------
        share
            The share of the matched rows that are at most this old, between 0 and 1.

        Returns
        -------
        float or None
            Seconds, exact to 0.5 %; None for a lookup, which has no ages.

        Examples
        --------
        >>> JoinCounts(ages={60.0: 9, 3600.0: 1}).age(0.5)
        60.0
        """
        if not self.ages:
            return None
        ages = sorted(self.ages.items())
        cumulated = np.cumsum([count for _, count in ages])
        return float(ages[int(np.searchsorted(cumulated, share * cumulated[-1]))][0])


def count_ages(age: Ints, unit: str) -> dict[float, int]:
    """Rows by age.

    Rows are counted by the 12 leading bits of the mantissa first, which needs no sorting.

    Parameters
    ----------
    age
        Ages of at least 0 in `unit`; shape (rows,).
    unit
        `us` or `ns`.

    Returns
    -------
    dict of float to int
        Number of rows by age in seconds, rounded to three digits.

    Examples
    --------
    >>> count_ages(np.array([1_500_000, 1_500_001, 0]), "us")
    {0.0: 1, 1.5: 2}
    """
    bits = (age / {"us": 1e6, "ns": 1e9}[unit]).view(np.int64) >> 40
    if not len(bits):
        return {}
    low = bits.min()
    if bits.max() - low < 1 << 24:
        counts = np.bincount(bits - low)
        bits, counts = np.flatnonzero(counts) + low, counts[counts > 0]
    else:
        bits, counts = np.unique(bits, return_counts=True)
    seconds = (bits << 40).view(np.float64)
    with np.errstate(divide="ignore"):
        scale = 10.0 ** (np.floor(np.log10(np.maximum(seconds, 1e-9))) - 2)
    rounded, place = np.unique(np.round(seconds / scale) * scale, return_inverse=True)
    return dict(zip(rounded.tolist(), np.bincount(place, counts).astype(int).tolist(), strict=True))
