"""Files that are too many, too small or empty, or whose row groups are too large."""

from statistics import median

from ray_pipeline.byte_size import byte_size
from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec

MAX_FILES, SMALL_FILE, LARGE_GROUP = 1_000, 1 << 20, 1 << 30


class Layout(Check):
    """The layout costs time and memory, but changes no result."""

    fix = "rewrite the table in files of 100 to 500 MB with row groups of at most 512 MB"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most three findings for each table."""
        for table, footers in profile.footers.items():
            files, usual = len(footers.files), median(footers.file_bytes or (0,))
            if files >= MAX_FILES and usual < SMALL_FILE:
                found = f"{table}: {files:,} files with a median of {byte_size(usual)}"
                yield self.finding("low", None, footers.num_rows, found)
            if empty := sum(rows == 0 for rows in footers.file_rows):
                found = f"{table}: {empty:,} of {files:,} files have 0 rows"
                yield self.finding("low", None, 0, found, "nothing, if they are meant to be empty")
            if footers.largest_group >= LARGE_GROUP:
                found = f"{table}: a row group of {byte_size(footers.largest_group)}, which one worker holds at once"
                yield self.finding("medium", None, 0, found)
