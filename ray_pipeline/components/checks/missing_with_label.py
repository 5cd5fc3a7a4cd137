"""Columns that are missing in the same rows as the label: they are recorded together with the outcome."""

import pyarrow.compute as pc

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.values import Severity

MIN_ROWS = 30
MIN_SHARE_MEDIUM, MIN_SHARE_HIGH, MAX_SHARE_ELSEWHERE = 0.5, 0.8, 0.01


class MissingWithLabel(Check):
    """The column is mostly null in rows without a label, and nearly never in others.

    For instance, a flight that never left has neither a delay nor an air time.
    """

    fix = "leave it out if it is recorded together with the outcome"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column; none if most columns are like this: then the rows are just blank."""
        rows = profile.counts.null_label
        if rows < MIN_ROWS:
            return
        names, findings = [name for name in varying(profile) if name in profile.counts.unlabelled], []
        for name in names:
            missing, sample = profile.counts.unlabelled[name], profile.sample[name]
            elsewhere = (pc.sum(pc.is_null(sample, nan_is_null=True)).as_py() or 0) / max(len(sample), 1)
            if missing >= MIN_SHARE_MEDIUM * rows and elsewhere <= MAX_SHARE_ELSEWHERE:
                without = f"{missing:,} of the {rows:,} rows without a label"
                found = f"{name} is missing in {without}, but in {elsewhere:.1%} of the others"
                severity: Severity = "high" if missing >= MIN_SHARE_HIGH * rows else "medium"
                findings.append(self.finding(severity, name, missing, found))
        if len(findings) <= max(len(names) / 2, 1):
            yield from findings
