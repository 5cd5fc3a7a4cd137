"""Columns that only some files of a table have, or that have several types, and that are not read."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec


class UnevenFiles(Check):
    """Such a column is ignored here; it is an error if the run reads it."""

    fix = "write the column in every file, in one type"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        for table, footers in profile.footers.items():
            for name, files in footers.extra.items():
                where = f"{files:,} of {len(footers.files):,} files only"
                yield self.finding("low", name, 0, f"{table}: column {name!r} is in {where}; it is ignored")
            for name, problem in footers.uneven.items():
                yield self.finding("low", name, 0, f"{problem.found}; it is not read")
