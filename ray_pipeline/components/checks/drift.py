"""Columns that look otherwise in validation or test than in train."""

from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS
from ray_pipeline.profiling.drift import drift_by_part, histograms
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding


class Drift(Check):
    """By the population stability index between the samples of both parts (`stages/drift.py`): low above 0.1, medium
    above 0.25."""

    fix: ClassVar = "expect the model to be worse there; leave out what only tells the time"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column: of the part where it drifts most."""
        worst: dict[str, Finding] = {}
        indices: dict[str, float] = {}
        large = {
            part: rows
            for part, rows in profile.evaluation_samples.items()
            if min(rows.num_rows, profile.sample.num_rows) >= MIN_ROWS
        }
        for part, drifts in drift_by_part(histograms(profile.sample, varying(profile)), large).items():
            for told in drifts:
                name, index, severity = told["column"], told["index"], told["severity"]
                if severity and index > indices.get(name, 0.0):
                    indices[name] = index
                    found = f"{name} differs between train and {part} by a population stability index of {index:.2f}"
                    worst[name] = self.finding(severity, name, profile.parts[part], found)
        yield from worst.values()
