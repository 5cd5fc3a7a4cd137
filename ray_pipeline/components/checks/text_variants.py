"""Texts that differ only by case or spaces."""

from collections import defaultdict

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.errors import listed


class TextVariants(Check):
    """`NY`, `ny` and `NY ` are three values to a model."""

    fix = "write each value in one spelling"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        for name in varying(profile):
            alike = defaultdict[str, dict[str, int]](dict)
            for value, rows in profile.columns[name].values.items():
                alike[" ".join(value.casefold().split())][value] = rows
            groups = sorted(
                (group for group in alike.values() if len(group) > 1), key=lambda group: -sum(group.values())
            )
            if groups:
                shown = listed("/".join(map(repr, sorted(group, key=lambda v, g=group: -g[v]))) for group in groups)  # type: ignore[misc]
                yield self.finding(
                    "low",
                    name,
                    sum(sum(group.values()) for group in groups),
                    f"{name} has {len(groups):,} values in several spellings: {shown}; each spelling is kept apart",
                )
