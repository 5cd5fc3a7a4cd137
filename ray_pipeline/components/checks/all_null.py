"""Columns that are null in every training row."""

from ray_pipeline.components.checks._base import LEAVE_OUT, Check, Findings, Profile, Spec


class AllNull(Check):
    """The column is null in every row; the encoder leaves it out."""

    fix = LEAVE_OUT

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        for name, column in profile.columns.items():
            if column.nulls == column.rows:
                yield self.finding(
                    "medium", name, column.rows, f"{name} is null in all {column.rows:,} training rows; it was left out"
                )
