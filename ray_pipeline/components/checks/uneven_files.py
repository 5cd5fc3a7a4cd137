"""Columns that not all files of a table have in one type, and that nobody reads."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class UnevenFiles(Check):
    """Ignored here; an error where such a column is to be read."""

    fix: ClassVar = "write the column in every file, in one type"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding a column."""
        for table, footers in profile.footers.items():
            for name, files in footers.extra.items():
                yield self.finding(
                    "low",
                    name,
                    0,
                    f"{table}: column {name!r} stands in {files:,} of {len(footers.files):,} files only; it is ignored",
                )
            for name, problem in footers.uneven.items():
                yield self.finding("low", name, 0, f"{problem.found}; it is not read")
