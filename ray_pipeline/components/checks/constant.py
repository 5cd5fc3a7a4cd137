"""Columns with one value in every training row."""

from ray_pipeline.components.checks._base import LEAVE_OUT, Check, Findings, Profile, Spec


class Constant(Check):
    """The column has one value and no missing one; the encoder leaves it out."""

    fix = LEAVE_OUT

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        for name, column in profile.columns.items():
            if column.is_constant and column.nulls < column.rows:
                yield self.finding(
                    "medium",
                    name,
                    column.rows,
                    f"{name} has one value in all {column.rows:,} training rows; it was left out",
                )
