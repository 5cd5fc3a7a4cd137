"""Columns with infinite values."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class Infinite(Check):
    """The column is infinite in some training rows; the encoder treats these values as missing."""

    fix: ClassVar = "correct the values where they are made"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding for each column."""
        for name in varying(profile):
            if rows := profile.columns[name].infinite:
                yield self.finding(
                    "medium", name, rows, f"{name} is infinite in {rows:,} training rows; they count as missing"
                )
