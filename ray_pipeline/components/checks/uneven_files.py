"""Columns that some files of a table lack, or hold in another type."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec


class UnevenFiles(Check):
    """Such a column is read in the common type of all files, and is null where a file lacks it.

    Without one that holds the values it is an error if the run reads it.
    """

    fix = "write the column in every file, in one type"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column; medium where some files lack a feature."""
        for table, footers in profile.footers.items():
            for name, found in footers.unified.items():
                feature = name if table == "labels" else f"{table}.{name}"
                lacking = name in footers.partial and feature in profile.types
                yield self.finding("medium" if lacking else "low", feature, 0, found)
            for name, problem in footers.uneven.items():
                yield self.finding("low", name, 0, f"{problem.found}; it is not read")
