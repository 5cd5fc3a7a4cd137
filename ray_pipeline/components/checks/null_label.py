"""Rows without a label."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class NullLabel(Check):
    """Rows without a label are dropped, and counted here."""

    fix: ClassVar = "nothing, if rows without an outcome are expected"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding."""
        if rows := profile.counts.null_label:
            yield self.finding("low", spec.features.labels.label, rows, f"{rows:,} rows without a label were dropped")
