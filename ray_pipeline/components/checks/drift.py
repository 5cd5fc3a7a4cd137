"""Columns whose values in validation or test differ from those in train."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.components.checks._numbers import MIN_ROWS
from ray_pipeline.profiling.drift import described, drift_by_part, histograms
from ray_pipeline.values import Finding


class Drift(Check):
    """The population stability index between the samples of both parts is above 0.1 (low) or 0.25 (medium).

    What chance alone gives is taken off first: see `profiling/drift.py`.
    """

    fix = "expect the model to be worse there; leave out what only shows the time"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column: of the part where it drifts most."""
        worst: dict[str, tuple[float, Finding]] = {}
        large = {
            part: rows
            for part, rows in profile.evaluation_samples.items()
            if min(rows.num_rows, profile.sample.num_rows) >= MIN_ROWS
        }
        for part, drifts in drift_by_part(histograms(profile.sample, varying(profile)), large).items():
            for row in drifts:
                name, index, severity = row["column"], row["index"], row["severity"]
                if severity and (name not in worst or index > worst[name][0]):
                    found = f"{name} differs between train and {part} by {described(row)}"
                    worst[name] = index, self.finding(severity, name, profile.parts[part], found)
        yield from (finding for _, finding in worst.values())
