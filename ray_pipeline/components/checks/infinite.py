"""Columns with infinite values."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying


class Infinite(Check):
    """The column is infinite in some training rows; the encoder treats these values as missing."""

    fix = "correct the values where they are made"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        for name in varying(profile):
            if rows := profile.columns[name].infinite:
                yield self.finding(
                    "medium", name, rows, f"{name} is infinite in {rows:,} training rows; they count as missing"
                )
