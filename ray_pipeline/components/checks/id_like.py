"""Columns that number or name the rows, like an id."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.column_encodings._columns import kind_of

MIN_ROWS_TEXT, MIN_ROWS_NUMBER = 20, 200  # 20 texts hardly differ all by chance; 200 whole numbers of a wide range may
MIN_SHARE_TEXT, MIN_SHARE_NUMBER = 0.9, 0.99  # amounts in cents repeat now and then, row numbers never do
MAX_DISTANCE = 0.15
"""Ids fill their range evenly, whether they are counted or drawn; amounts, sizes and counts do not. This is the largest
distance from an even distribution (Kolmogorov's statistic). By simulation, 200 even values exceed 0.12 once in a
hundred tables; 200 normal ones are below 0.14 as rarely (1,000: 0.19), 200 lognormal ones (sigma 0.5) below 0.29."""


class IdLike(Check):
    """A text or a whole number with nearly as many values as rows.

    Texts are counted in all rows, whole numbers in the sample. Whole numbers that lie more densely at one place than at
    another are amounts. Fractions may differ in every row.
    """

    fix = "leave it out, or join a table by it"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        for name in varying(profile):
            column, type_ = profile.columns[name], profile.types[name]
            if kind_of(type_) == "category":
                if column.present < MIN_ROWS_TEXT or len(column.values) <= MIN_SHARE_TEXT * column.present:
                    continue
                yield self.finding(
                    "medium",
                    name,
                    column.rows,
                    f"{name} has {len(column.values):,} distinct values in {column.present:,} rows",
                )
            elif pa.types.is_integer(type_.value_type if pa.types.is_dictionary(type_) else type_):
                values = profile.sample[name].drop_null()
                distinct = pc.count_distinct(values).as_py() if len(values) >= MIN_ROWS_NUMBER else 0
                if distinct > MIN_SHARE_NUMBER * max(len(values), 1) and _distance(values) <= MAX_DISTANCE:
                    where = f"{len(values):,} sampled rows"
                    yield self.finding(
                        "medium",
                        name,
                        column.rows,
                        f"{name} is a whole number with {distinct:,} distinct values in {where}",
                    )


def _distance(values: pa.ChunkedArray) -> float:
    """How far the values are from filling their range evenly, between 0 and 1: Kolmogorov's statistic."""
    ordered = np.sort(pc.cast(values, pa.float64(), safe=False).to_numpy())
    low, high = ordered[0], ordered[-1]
    even = (ordered - low) / max(high - low, 1.0)
    return float(np.abs(even - np.linspace(0.0, 1.0, len(ordered))).max())
