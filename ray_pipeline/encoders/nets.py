"""Encoder for nets: numbers as normal quantiles with a flag where they are missing, categories as ids.

A number goes to the standard normal quantile of its rank among the training rows (as in Gorishniy et al., 2021, section 4.3), which no outlier
and no unit can disturb; between the knots it is interpolated, beyond them it stays at the end. A missing number is 0, the median.
Ids are 0 for missing, 1 for what training never or hardly ever saw, then from 2 in the order of falling frequency (ties by text).
"""

from collections.abc import Mapping
from statistics import NormalDist
from typing import Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from ray_pipeline.encoders._base import Encoder, Seen, by_frequency
from ray_pipeline.encoders._columns import MISSING, Kind, codes, numbers, refuse_missing, refuse_other_kind
from ray_pipeline.values import Matrix, Vector

MOST_KNOTS = 256
RARE = 5
"""A category with fewer rows is not told from an unseen one: it could not learn, and so the id of the unseen does."""
FIRST_ID = -MISSING


class Encoded(BaseModel):
    """How one column of the table becomes one column of the matrix, or two where it has values missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    knots: tuple[float, ...] = ()
    """Rising values, and for each the normal quantile that it becomes."""
    quantiles: tuple[float, ...] = ()
    flagged: bool = False
    """Whether a second column says 1 where the number is missing."""
    categories: tuple[str, ...] = ()


class Nets(Encoder):
    """Matrix columns of about unit scale for numbers and times, 0 or 1 for what is missing, and ids for categories."""

    encoded: tuple[Encoded, ...]

    @classmethod
    def fit(cls, columns: Mapping[str, Seen]) -> Self:
        """Quantiles come from the sample of training rows, categories from all of them."""
        return cls(encoded=tuple(_fit(name, seen) for name, seen in columns.items()))

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the table's columns, as they were in training."""
        return tuple(column.name for column in self.encoded)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns: a flag stands after its number."""
        return tuple(name for column in self.encoded for name in ((column.name, f"{column.name} is missing") if column.flagged else (column.name,)))

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Ids of each category; 0 for numbers and flags."""
        wide = ((len(column.categories) + FIRST_ID,) if column.kind == "category" else (0,) * (1 + column.flagged) for column in self.encoded)
        return tuple(number for widths in wide for number in widths)

    def apply(self, table: pa.Table) -> Matrix:
        """float32 in C order, shape (rows, columns); every cell is finite."""
        refuse_missing(self.reads, table)
        matrix = np.empty((table.num_rows, len(self.columns)), np.float32)
        at = 0
        for column in self.encoded:
            values = table[column.name]
            refuse_other_kind(column.name, column.kind, values)
            if column.kind == "category":
                matrix[:, at] = codes(values, column.categories) + FIRST_ID
                at += 1
                continue
            number = numbers(values)
            missing = np.isnan(number)
            matrix[:, at] = np.where(missing, 0.0, np.interp(number, column.knots, column.quantiles))
            if column.flagged:
                matrix[:, at + 1] = missing
            at += 1 + column.flagged
        return matrix


def _fit(name: str, seen: Seen) -> Encoded:
    if seen.kind == "category":
        return Encoded(name=name, kind=seen.kind, categories=tuple(by_frequency({value: rows for value, rows in seen.counts.items() if rows >= RARE})))
    knots, quantiles = normal_quantiles(seen.sample)
    return Encoded(name=name, kind=seen.kind, knots=tuple(knots.tolist()), quantiles=tuple(quantiles.tolist()), flagged=seen.missing > 0)


def normal_quantiles(sample: Vector) -> tuple[Vector, Vector]:
    """Rising knots, at most `MOST_KNOTS`, and the normal quantile of each one's mid-rank in the sample; one knot at 0 where the sample is empty.

    Equal values share the middle of their ranks, so that 0 and 1 of a flag stay two points and a frequent value stays near its neighbours.
    """
    if not len(sample):
        return np.zeros(1), np.zeros(1)
    values, counts = np.unique(sample, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / len(sample)
    if len(values) > MOST_KNOTS:
        kept = np.unique(np.searchsorted(rank, np.linspace(rank[0], rank[-1], MOST_KNOTS)))
        values, rank = values[kept], rank[kept]
    return values, np.array([NormalDist().inv_cdf(share) for share in rank])
