"""Columns that are sample weights, by their names."""

import re
from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.components.column_encodings._columns import kind_of
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

NAMED = re.compile(
    r"(?i)(^|_)(fnlwgt|[a-z]*wgt|(sample|survey|sampling|case|row|inverse_prob\w*|final)_?weights?)(_|$)"
)


class SampleWeight(Check):
    """A weight says how a row came into the table, and nothing about its outcome."""

    fix: ClassVar = "name it as features.labels.weight, or leave it out"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """One finding for each column."""
        for name in varying(profile):
            if kind_of(profile.types[name]) == "number" and NAMED.search(name.partition(".")[2] or name):
                yield self.finding(
                    "medium",
                    name,
                    profile.columns[name].rows,
                    f"{name} is named like a sample weight, and is a feature",
                )
