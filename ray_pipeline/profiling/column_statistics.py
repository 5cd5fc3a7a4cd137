"""What one column says of the training rows: counts, mean, range, values. States of blocks add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.column_encodings._columns import kind_of


@dataclass(frozen=True)
class ColumnProfile:
    """Statistics of one column over the training rows; adds over blocks with `+` (means by Chan, Golub & LeVeque,
    1979)."""

    rows: int = 0
    nulls: int = 0
    infinite: int = 0
    mean: float = 0.0
    m2: float = 0.0
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
        """All present values are one, and none is missing."""
        return self.nulls + self.infinite == 0 and (
            len(self.values) == 1 or (self.low is not None and self.low == self.high)
        )

    def __add__(self, other: "ColumnProfile") -> "ColumnProfile":
        ours, theirs = self.present, other.present
        total = max(ours + theirs, 1)
        delta = other.mean - self.mean
        values = dict(self.values)
        for value, count in other.values.items():
            values[value] = values.get(value, 0) + count
        lows, highs = ([x for x in pair if x is not None] for pair in ((self.low, other.low), (self.high, other.high)))
        return ColumnProfile(
            self.rows + other.rows,
            self.nulls + other.nulls,
            self.infinite + other.infinite,
            self.mean + delta * theirs / total,
            self.m2 + other.m2 + delta * delta * ours * theirs / total,
            min(lows, default=None),
            max(highs, default=None),
            values,
        )


def profile_column(values: pa.ChunkedArray) -> ColumnProfile:
    """Statistics of the rows at hand; times as microseconds since 1970."""
    if kind_of(values.type) == "category":
        counts = value_counts(values)
        return ColumnProfile(len(values), len(values) - sum(counts.values()), values=counts)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    numbers = values.cast(pa.float64(), safe=False).to_numpy()
    finite = numbers[np.isfinite(numbers)]
    nulls = int(np.isnan(numbers).sum())
    with np.errstate(over="ignore"):  # beyond float32 such a column is a finding; here it must only not fail
        mean = float(finite.mean()) if len(finite) else 0.0
        m2 = float(((finite - mean) ** 2).sum())
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    return ColumnProfile(len(numbers), nulls, len(numbers) - nulls - len(finite), mean, m2, low, high)


def value_counts(values: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each value, as text; nulls are left out."""
    counted = pc.value_counts(values.combine_chunks())
    texts = counted.field("values")
    texts = (
        texts.cast(pa.string())
        if not pa.types.is_dictionary(texts.type)
        else texts.cast(texts.type.value_type).cast(pa.string())
    )
    return {
        text: count
        for text, count in zip(texts.to_pylist(), counted.field("counts").to_pylist(), strict=True)
        if text is not None
    }
