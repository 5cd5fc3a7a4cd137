"""Rows without a label."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec


class NullLabel(Check):
    """Rows without a label are dropped, and counted here."""

    fix = "nothing, if rows without an outcome are expected"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding."""
        if rows := profile.counts.null_label:
            yield self.finding("low", spec.features.labels.label, rows, f"{rows:,} rows without a label were dropped")
