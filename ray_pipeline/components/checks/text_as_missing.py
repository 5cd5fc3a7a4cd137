"""Texts that mean a missing value."""

import re

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.errors import listed

MISSING = re.compile(r"|\?|--?|\.|n/?a|#n/a|nan|null|none|nil|missing|unknown|undefined|not available")


class TextAsMissing(Check):
    """`""`, `"nan"` and `" NA"` are each a value of their own to the model, which is seldom intended."""

    fix = "write it as null where it is made, or keep it if the word has a meaning"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        for name in varying(profile):
            counts = profile.columns[name].values.items()
            missing = {value: rows for value, rows in counts if MISSING.fullmatch(value.strip().lower())}
            if missing:
                most_first = sorted(missing.items(), key=lambda item: -item[1])
                shown = listed(f"{value!r} ({rows:,} rows)" for value, rows in most_first)
                yield self.finding(
                    "low", name, sum(missing.values()), f"{name} says {shown}: kept as values, not treated as missing"
                )
