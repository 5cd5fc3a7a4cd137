"""Statistics of one column over the training rows: counts, mean, range, values. Statistics of blocks add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of


@dataclass(frozen=True, kw_only=True)
class ColumnStatistics:
    """Statistics of one column over the training rows.

    Blocks add with `+`; means and squares add as in Chan, Golub & LeVeque, 1979.
    """

    rows: int = 0
    nulls: int = 0
    infinite: int = 0
    mean: float = 0.0
    m2: float = 0.0
    """Sum of squared distances from the mean."""
    low: float | None = None
    high: float | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    """Rows of each value, for categories."""

    @property
    def present(self) -> int:
        """Rows with a finite value."""
        return self.rows - self.nulls - self.infinite

    @property
    def is_constant(self) -> bool:
        """Every row has the same value, and none is missing."""
        return self.nulls + self.infinite == 0 and (
            len(self.values) == 1 or (self.low is not None and self.low == self.high)
        )

    def __add__(self, other: "ColumnStatistics") -> "ColumnStatistics":
        ours, theirs = self.present, other.present
        total = max(ours + theirs, 1)
        delta = other.mean - self.mean
        values = dict(self.values)
        for value, count in other.values.items():
            values[value] = values.get(value, 0) + count
        lows, highs = ([x for x in pair if x is not None] for pair in ((self.low, other.low), (self.high, other.high)))
        return ColumnStatistics(
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            infinite=self.infinite + other.infinite,
            mean=self.mean + delta * theirs / total,
            m2=self.m2 + other.m2 + delta * delta * ours * theirs / total,
            low=min(lows, default=None),
            high=max(highs, default=None),
            values=values,
        )


def describe_column(values: pa.ChunkedArray) -> ColumnStatistics:
    """The statistics of a column of one block.

    Parameters
    ----------
    values
        Numbers, times or categories; shape (rows,). A time counts as microseconds since 1970.

    Examples
    --------
    >>> statistics = describe_column(pa.chunked_array([[1.0, None, 3.0]]))
    >>> statistics.nulls, statistics.mean, statistics.m2, statistics.high
    (1, 2.0, 2.0, 3.0)
    """
    if kind_of(values.type) == "category":
        counts = value_counts(values)
        return ColumnStatistics(rows=len(values), nulls=len(values) - sum(counts.values()), values=counts)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    numbers = values.cast(pa.float64(), safe=False).to_numpy()
    finite = numbers[np.isfinite(numbers)]
    nulls = int(np.isnan(numbers).sum())
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a column beyond float32 is a finding; here it must only not fail
        mean = float(finite.mean()) if len(finite) else 0.0
        m2 = float(((finite - mean) ** 2).sum())
    return ColumnStatistics(
        rows=len(numbers),
        nulls=nulls,
        infinite=len(numbers) - nulls - len(finite),
        mean=mean,
        m2=m2,
        low=float(finite.min()) if len(finite) else None,
        high=float(finite.max()) if len(finite) else None,
    )


def value_counts(values: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each value, by the value as text; nulls are left out.

    Examples
    --------
    >>> value_counts(pa.chunked_array([["a", "b", None, "a"]]))
    {'a': 2, 'b': 1}
    """
    counted = pc.value_counts(values.combine_chunks())
    distinct = counted.field("values")
    if pa.types.is_dictionary(distinct.type):
        distinct = distinct.cast(distinct.type.value_type)
    pairs = zip(distinct.cast(pa.string()).to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return {text: count for text, count in pairs if text is not None}
