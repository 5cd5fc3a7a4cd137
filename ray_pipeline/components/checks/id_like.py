"""Columns that number or name the rows, like an id."""

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.column_encodings._columns import kind_of

MIN_ROWS_TEXT, MIN_ROWS_NUMBER = 20, 200  # 20 texts hardly differ all by chance; 200 whole numbers of a wide range may
MIN_SHARE_TEXT, MIN_SHARE_NUMBER = 0.9, 0.99  # amounts in cents repeat now and then, row numbers never do


class IdLike(Check):
    """A text or a whole number with nearly as many values as rows.

    Texts are counted in all rows, whole numbers in the sample. Fractions may differ in every row.
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
                if distinct > MIN_SHARE_NUMBER * max(len(values), 1):
                    where = f"{len(values):,} sampled rows"
                    yield self.finding(
                        "medium",
                        name,
                        column.rows,
                        f"{name} is a whole number with {distinct:,} distinct values in {where}",
                    )
