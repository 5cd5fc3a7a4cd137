"""Columns that are null in every training row."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import LEAVE_OUT, Check
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class AllNull(Check):
    """The column is null in every row; the encoder leaves it out."""

    fix: ClassVar = LEAVE_OUT

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding for each column."""
        for name, column in profile.columns.items():
            if column.nulls == column.rows:
                yield self.finding(
                    "medium", name, column.rows, f"{name} is null in all {column.rows:,} training rows; it was left out"
                )
