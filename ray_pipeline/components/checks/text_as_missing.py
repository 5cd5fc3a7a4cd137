"""Texts that stand for a missing value, and texts that differ by case or spaces alone."""

from collections import defaultdict
from collections.abc import Iterator
from typing import ClassVar

from ray_pipeline.components.checks._base import Check, varying
from ray_pipeline.errors import listed
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.spec import Spec
from ray_pipeline.values import Finding

MISSING = frozenset(
    [
        "",
        "?",
        "-",
        "--",
        ".",
        "na",
        "n/a",
        "#n/a",
        "nan",
        "null",
        "none",
        "nil",
        "missing",
        "unknown",
        "undefined",
        "not available",
    ]
)


class TextAsMissing(Check):
    """`""`, `"nan"`, `" NA"`: each is kept as a value of its own, which is seldom what was meant."""

    fix: ClassVar = "write it as null where it is made, or keep it if the word says something"

    def check(self, profile: Profile, spec: Spec) -> Iterator[Finding]:
        """At most one finding a column."""
        for name in varying(profile):
            held: dict[str, int] = defaultdict(int)
            for value, rows in profile.columns[name].values.items():
                if value.strip().lower() in MISSING:
                    held[value] += rows
            if held:
                shown = listed(
                    f"{value!r} ({rows:,} rows)" for value, rows in sorted(held.items(), key=lambda item: -item[1])
                )
                yield self.finding(
                    "low", name, sum(held.values()), f"{name} says {shown}: kept as values, not taken for missing"
                )
