"""Categories of a column with few values that hardly occur."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.errors import listed

MAX_DISTINCT, MIN_ROWS, MAX_SHARE = 50, 30, 0.001


class RareValues(Check):
    """A value has fewer than 30 training rows, and less than one in a thousand: too few to learn or measure."""

    fix = "group rare values where they are made, or write `encode: {COLUMN: {rare: 30}}`"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        for name in varying(profile):
            column = profile.columns[name]
            rare = {
                value: rows
                for value, rows in column.values.items()
                if rows < MIN_ROWS and rows < MAX_SHARE * column.rows
            }
            if rare and len(column.values) <= MAX_DISTINCT:
                rarest = sorted(rare.items(), key=lambda item: item[1])
                shown = listed(f"{value!r} ({rows} rows)" for value, rows in rarest)
                yield self.finding("low", name, sum(rare.values()), f"{name} has {len(rare)} rare values: {shown}")
