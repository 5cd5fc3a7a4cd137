"""Files that are too small, too many, empty, or whose row groups are too large to be read well."""

from collections.abc import Iterator
from statistics import median
from typing import ClassVar

from ray_pipeline.components.checks._base import Check
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

MAX_FILES, SMALL_FILE, LARGE_GROUP = 1_000, 1 << 20, 1 << 30


class Layout(Check):
    """It costs time and memory, and changes no answer."""

    fix: ClassVar = "rewrite the table in files of 100 to 500 MB with row groups of at most 512 MB"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most three findings a table."""
        for table, footers in profile.footers.items():
            files, usual = len(footers.files), median(footers.file_bytes or (0,))
            if files >= MAX_FILES and usual < SMALL_FILE:
                yield self.finding(
                    "low", None, footers.num_rows, f"{table}: {files:,} files of {usual / 1024:,.0f} KB in the middle"
                )
            if empty := sum(rows == 0 for rows in footers.file_rows):
                yield self.finding(
                    "low",
                    None,
                    0,
                    f"{table}: {empty:,} of {files:,} files have 0 rows",
                    "nothing, if they are meant to be empty",
                )
            if footers.largest_group >= LARGE_GROUP:
                yield self.finding(
                    "medium",
                    None,
                    0,
                    f"{table}: a row group of {footers.largest_group / 2**30:.1f} GiB, which one worker must hold at"
                    " once",
                )
