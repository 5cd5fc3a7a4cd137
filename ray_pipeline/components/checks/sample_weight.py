"""Columns that are sample weights, by their names."""

import re

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying

NAMED = re.compile(
    r"(?i)(^|_)(fnlwgt|[a-z]*wgt|(sample|survey|sampling|case|row|inverse_prob\w*|final)_?weights?)(_|$)"
)


class SampleWeight(Check):
    """A weight says how a row came into the table, and nothing about its outcome."""

    fix = "name it as features.labels.weight, or leave it out"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """One finding for each column."""
        for name in varying(profile, "number"):
            if NAMED.search(name.partition(".")[2] or name):
                yield self.finding(
                    "medium",
                    name,
                    profile.columns[name].rows,
                    f"{name} is named like a sample weight, and is a feature",
                )
